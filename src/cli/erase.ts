import { existsSync } from 'node:fs';
import type { z } from 'zod';
import { bareJid } from '../admin/api/bare-jid.ts';
import { erasureShape, erasureView } from '../admin/api/erase.ts';
import type { SpoolConfig } from '../config/config.ts';
import { locateConfig, readEnvironment } from '../config/environment.ts';
import { loadSpool } from '../config/load.ts';
import { systemClock } from '../kit/clock.ts';
import { ServiceError } from '../kit/errors.ts';
import { findService, serviceOptions } from './admin-client.ts';
import type { Call, Command } from './command.ts';
import type { OptionValues } from './options.ts';
import { confirm, counted, output, requireTerminal } from './terminal.ts';

export const eraseCommand: Command = {
  name: 'erase',
  synopsis: '--jid JID [--dry-run] [--yes] [SERVICE]',
  description: 'removes everything that is stored about a user, also while the service is stopped',
  options: ['dry-run', 'jid', 'yes', ...serviceOptions],
  run: async ({ values }) => {
    const jid = jidIn(values);
    if (values.yes !== true && values['dry-run'] !== true) requireTerminal();
    return await withSpool(values, (erase) => countAndErase(values, jid, erase));
  },
};

type Report = z.output<typeof erasureShape>;
type Erase = (call: {
  readonly jid: string;
  readonly dryRun: boolean;
  readonly cursor?: string;
  readonly before?: string;
}) => Promise<Report>;

/** Throws USAGE. */
function jidIn({ jid }: OptionValues): string {
  if (jid === undefined) throw new ServiceError('USAGE', 'missing --jid, the bare JID of the user');
  const read = bareJid.safeParse(jid);
  if (read.success) return read.data;
  throw new ServiceError('USAGE', `--jid: received ${JSON.stringify(jid)}, expected ${read.error.issues[0]?.message}`);
}

/** A running service erases. If none answers, its spool is opened here, unless --url is given: that service may be on another machine. */
async function withSpool(values: OptionValues, use: (erase: Erase) => Promise<number>): Promise<number> {
  const service = await findService(values);
  try {
    return await use((call) => service.post('/erase', erasureShape, call));
  } catch (thrown) {
    const isStopped = thrown instanceof ServiceError && thrown.code === 'ADMIN_UNREACHABLE' && values.url === undefined;
    if (!isStopped) throw thrown;
    return await useStopped(values, use, thrown);
  }
}

/** Throws `unreachable` if there is no spool, SPOOL_LOCKED if a process uses it, SPOOL_OPEN_FAILED. */
async function useStopped(values: OptionValues, use: (erase: Erase) => Promise<number>, unreachable: ServiceError): Promise<number> {
  const env = readEnvironment();
  const config = await loadSpool(locateConfig(values.config, env), env);
  if (!(await isStored(config))) throw unreachable;
  const { eraseStopped } = await import('../spool/erase-stopped.ts'); // loads SQLite, which an erasure by a service does not need
  process.stderr.write(
    `No service answers: the spool ${config.postgres === undefined ? `at ${config.path}` : `in schema ${config.postgres.schema} of PostgreSQL`} is changed directly.\n`,
  );
  const code = await eraseStopped(config, (erasure) =>
    use(async ({ cursor, ...call }) => {
      const before = systemClock.now();
      return erasureShape.parse(erasureView(await erasure.run({ ...call, cursor, before }), before));
    }),
  );
  return code ?? 1;
}

/** Whether there is a spool: opening one would create it, and an erasure from a new one would only seem to succeed. */
async function isStored({ engine, path, postgres }: SpoolConfig): Promise<boolean> {
  if (postgres === undefined) return engine === 'sqlite' && existsSync(path);
  const { holdsSpool } = await import('../spool/postgres/inspect.ts');
  return holdsSpool(postgres);
}

/** Counts, asks at a terminal, and erases. The service waits for the events that are on their way. */
async function countAndErase(values: Call['values'], jid: string, erase: Erase): Promise<number> {
  const counting = await whole(erase, { jid, dryRun: true });
  if (values['dry-run'] === true) {
    output(values.json, shown(counting), `${summary(counting)} of ${jid} would be erased.\n${heldText(counting)}`);
    return 0;
  }
  if (values.yes !== true && !(await confirm(`Permanently erase ${summary(counting)} of ${jid}?`))) return 1;

  const done = await whole(erase, { jid, dryRun: false, before: counting.before });
  output(
    values.json,
    shown(done),
    `${summary(done)} of ${jid} erased.\n${heldText(done)}${fileTexts[done.file ?? 'rewritten']}${outOfReach}`,
  );
  return done.held === 0 && done.file !== 'in-use' && done.file !== 'failed' ? 0 : 1;
}

/** All calls of one erasure. */
async function whole(erase: Erase, call: Omit<Parameters<Erase>[0], 'cursor'>): Promise<Report> {
  let sum = await erase(call);
  while (sum.next !== null) {
    if (process.stderr.isTTY) process.stderr.write(`\r${summary(sum)} `);
    sum = sumOf(sum, await erase({ ...call, before: sum.before, cursor: sum.next }));
  }
  return sum;
}

function sumOf(one: Report, other: Report): Report {
  return {
    ...other,
    waiting: one.waiting + other.waiting,
    deadLetters: one.deadLetters + other.deadLetters,
    records: one.records + other.records,
    withheld: one.withheld + other.withheld,
  };
}

function shown({ waiting, deadLetters, records, withheld, held, file }: Report): object {
  return { waiting, deadLetters, records, withheld, held, file };
}

function summary({ waiting, deadLetters, records, withheld }: Report): string {
  const all = [
    counted(waiting, 'waiting event'),
    counted(deadLetters, 'dead letter'),
    counted(records, 'record of the history', 'records of the history'),
  ];
  return [...all, ...(withheld === 0 ? [] : [counted(withheld, 'withheld push', 'withheld pushes')])].join(', ');
}

function heldText({ held, file }: Report): string {
  if (held === 0) return '';
  const advice = file === null ? 'an erasure waits up to 30 s' : 'repeat the command later, or pause the pools first';
  return `Still being sent to a backend: ${counted(held, 'event')}; ${advice}.\n`;
}

const fileTexts: Readonly<Record<NonNullable<Report['file']>, string>> = {
  rewritten: '',
  'too-large':
    'The spool is too large to be rewritten while the service runs: unused parts of its files may still hold\nfragments. To remove them, repeat the command while the service is stopped.\n',
  'in-use': 'Another process reads the spool, so its files still hold erased text: repeat the command when that process has ended.\n',
  'not-owner':
    "The role of the spool does not own its tables: PostgreSQL's files hold erased text until vacuum frees the space and other rows use it.\nTo remove it now, run VACUUM FULL on the tables as their owner.\n",
  failed:
    "The spool's file could not be rewritten: another process writes to it, or the disk has too little space.\nA copy needs the size of the spool in its folder and in the folder for temporary files (SQLITE_TMPDIR, or /var/tmp).\nRepeat the command then.\n",
};

const outOfReach = `Not erased: backups, the WAL of PostgreSQL, logs, requests that were already sent, text of other users that names this one,
and stanzas that the chat server or its tap stores.
`;
