/** Erases what is stored about a user: counts first, then calls the service until it has reached the end. */
import { quoted } from './actions.js';
import { post } from './api.js';
import { foreign, number } from './words.js';

/**
 * @typedef {import('zod').output<typeof import('../src/admin/api/erase.ts').erasureShape>} Report
 * @typedef {import('./dialogs.js').Watch} Watch
 */

/** Time limit of a call, ms: each takes about two seconds, and the last one rewrites the file of the spool as well. */
const callTimeoutMs = 120_000;

/** The bare JID of a JID that was searched for; undefined if it is not the JID of a user. @param {string} text */
export function userIn(text) {
  return /^[^@/]+@[^@/]+(?=\/|$)/.exec(text)?.[0];
}

/** @param {string} jid bare @param {() => void} after called at the end, also of an erasure that failed @returns {import('./dialogs.js').Dialog} */
export function erase(jid, after) {
  let before = '';
  return {
    title: `Erase everything about ${foreign(jid, 200)}?`,
    text: 'Everything that is stored about this user, as sender or receiver, is removed permanently: waiting events, which are then never sent, dead letters, withheld pushes and the history. Backups, logs and requests that a backend has received remain.',
    confirm: 'Erase permanently',
    isDangerous: true,
    command: `event-pusher erase --jid ${quoted(foreign(jid, 3072))} --yes`,
    curl: '', // a large spool needs several calls
    count: async (watch) => {
      const found = await whole({ jid, dryRun: true }, watch);
      before = found.before;
      const held = found.held === 0 ? '' : ` ${number(found.held, 'event')} may be on the way to a backend: the erasure waits up to 30 s.`;
      return `${summary(found)} found.${held}`;
    },
    run: (watch) => whole({ jid, before }, watch).finally(after),
    done: resultText,
  };
}

/** All calls of one erasure. Throws if it does not reach its end. @param {{ jid: string, dryRun?: boolean, before?: string }} call @param {Watch} watch */
async function whole(call, { signal, progress }) {
  /** @type {Report} */
  let sum = await post('/erase', call, { timeoutMs: callTimeoutMs, signal });
  while (sum.next !== null) {
    progress(`${summary(sum)} so far…`);
    const { before, next: cursor } = sum;
    sum = sumOf(sum, await post('/erase', { ...call, before, cursor }, { timeoutMs: callTimeoutMs, signal }));
  }
  return sum;
}

/** @param {Report} one @param {Report} other @returns {Report} */
function sumOf(one, other) {
  return {
    ...other,
    waiting: one.waiting + other.waiting,
    deadLetters: one.deadLetters + other.deadLetters,
    records: one.records + other.records,
    withheld: one.withheld + other.withheld,
  };
}

/** @param {Report} report */
function summary({ waiting, deadLetters, records, withheld }) {
  const all = [
    number(waiting, 'waiting event'),
    number(deadLetters, 'dead letter'),
    number(records, 'record of the history', 'records of the history'),
  ];
  return [...all, ...(withheld === 0 ? [] : [number(withheld, 'withheld push', 'withheld pushes')])].join(', ');
}

/** Throws if the erasure must be repeated. @param {Report} report */
function resultText(report) {
  const text = `${summary(report)} erased.`;
  const { held, file } = report;
  const toRepeat = [
    held === 0 ? '' : `${number(held, 'event')} may still be on the way to a backend: pause the pool, or wait, and erase again.`,
    file === 'in-use' ? 'Another process reads the spool, whose files still hold erased text: erase again when it has ended.' : '',
    file === 'failed'
      ? 'The file of the spool could not be rewritten, because the disk has too little space or another process writes to it: erase again later.'
      : '',
  ].filter((each) => each !== '');
  if (toRepeat.length > 0) throw new Error(`${text} Not complete: ${toRepeat.join(' ')}`);
  if (file === 'not-owner')
    return `${text} The role of the spool does not own its tables: the files of PostgreSQL hold erased text until vacuum frees the space and other rows use it.`;
  if (file !== 'too-large') return text;
  return `${text} The spool is too large to be rewritten while the service runs: unused parts of its files may hold fragments until the command above is run while the service is stopped.`;
}
