import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createPusher, type Pusher } from './pusher.ts';
import { createServerProcess, type ServerProcess } from './server-process.ts';
import { freePort } from './target.ts';

export const guides = ['account', 'ejabberd', 'mongooseim', 'other-servers', 'prosody'] as const;

/** A page of the documentation. */
export interface Guide {
  readonly text: string;
  /** The fenced blocks in a language (none: `''`), in order, without the indentation of their list. */
  blocks(language: string): readonly string[];
  /** The first block in a language that contains `part`. */
  block(language: string, part: string): string;
  /** The cells of the table whose first heading is `heading`, without backticks. */
  rows(heading: string): readonly (readonly string[])[];
}

export function readGuide(name: (typeof guides)[number]): Guide {
  return readPage(`docs/guides/${name}.md`);
}

/** Any page, by its path in the project. */
export function readPage(path: string): Guide {
  const text = readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8');

  function blocks(language: string): readonly string[] {
    const fenced = [...text.matchAll(/^( *)```(\w*)\n(.*?)^ *```$/gms)].filter(([, , found]) => found === language);
    return fenced.map(([, indent = '', , content = '']) => content.replaceAll(new RegExp(`^${indent}`, 'gm'), ''));
  }

  return {
    text,
    blocks,
    block: (language, part) => {
      const found = blocks(language).find((content) => content.includes(part));
      if (found === undefined) throw new Error(`${path} has no block of ${language} with ${part}`);
      return found;
    },
    rows: (heading) => {
      const [, table = ''] = text.split(new RegExp(`^\\| ${heading} +\\|.*\n\\|[-| ]*\n`, 'm'));
      const lines = table.split('\n');
      const until = lines.findIndex((line) => !line.startsWith('|'));
      return lines.slice(0, until).map((line) =>
        line
          .split('|')
          .slice(1, -1)
          .map((cell) => cell.replaceAll('`', '').trim()),
      );
    },
  };
}

/** The backend of a page, on a free port. */
export async function startShownBackend(guide: Guide): Promise<ServerProcess & { readonly port: number } & AsyncDisposable> {
  const port = await freePort();
  const command = guide.block('sh', 'createServer').replace('8000', String(port));
  const backend = createServerProcess({ command: 'sh', args: ['-c', `exec ${command}`], ports: [port] });
  await backend.start();
  return { ...backend, port, [Symbol.asyncDispose]: () => backend.kill() };
}

/** The environment variable that a page exports. */
export function exported(guide: Guide): Readonly<Record<string, string>> {
  const [, name = '', value = ''] = /export (\w+)="(.*)"/.exec(guide.block('sh', 'export ')) ?? [];
  return { [name]: value };
}

export interface Changes {
  /** Replaced texts, such as a port that is not free. */
  readonly replace?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
}

/** The built service with the configuration of a page, except `[general]`, which `hosts` replaces. */
export async function createShownPusher(
  guide: Guide,
  { replace = {}, env = exported(guide), hosts = ['example.org'] }: Changes & { readonly hosts?: readonly string[] } = {},
): Promise<Pusher> {
  const shown = guide.block('toml', '[modules.mod_event_pusher.backend.http]').replace(/^\[general\]\n.*\n/, '');
  const config = Object.entries(replace).reduce((text, [from, to]) => text.replaceAll(from, to), shown);
  return createPusher({ config, hosts, env });
}

/** Starts the service and returns the first failure of its attachment, in the form of `/readyz`. */
export async function troubleOf(pusher: Pusher): Promise<string> {
  pusher.launch();
  const troubles = new Set(['offline', 'refused', 'standby']);
  const { state, reason } = await pusher.said((line) => line.event === 'attachment.state' && troubles.has(String(line['state'])));
  return `${state}: ${reason}`;
}

/**
 * A page as a bash script: its files and its commands, in order. Commands that stay in the foreground of a terminal run in the background.
 * Then the pusher is stopped, another message is sent, the page's command shows the queue, and the pusher is started again.
 */
export function follow(guide: Guide): string {
  const [, setUp = '', works = ''] = guide.text.split(/^## (?:Set-up|Does it work\?|What can go wrong)$/m);
  const send = guide.block('sh', 'Hi, Bob!');
  const run = guide.block('sh', 'event-pusher run');
  const [, waiting = 'false'] = /^`(sudo [^`]*)` shows how many are waiting/m.exec(guide.text) ?? [];
  return [
    ...stepsOf(setUp),
    until(`${guide.block('sh', '/readyz').trim()} -sf`),
    ...stepsOf(works),
    until('grep -q author= backend.log'),
    `kill -INT "$(pgrep -f '${serviceProcess}')"`,
    until(`! pgrep -f '${serviceProcess}'`),
    send,
    waiting,
    inBackground(run, 'pusher.log'),
    until('[ "$(grep -c author= backend.log)" = 2 ]'),
    'echo the backend got; cat backend.log',
  ].join('\n');
}

/** Matches the command line of the service, and not that of the script, which contains it. */
const serviceProcess = '^[^ ]*node [^ ]*main.js run';

function stepsOf(section: string): readonly string[] {
  return [...section.matchAll(/(.*?)^( *)```(\w*)\n(.*?)^ *```$/gms)].map(([, before = '', indent = '', language = '', block = '']) => {
    const content = block.replaceAll(new RegExp(`^${indent}`, 'gm'), '');
    const [, path] = /[Ww]rite `([^`]*)`/.exec(before) ?? [];
    if (language !== 'sh') return path === undefined ? '' : `cat >${path} <<'END OF FILE'\n${content}END OF FILE`;
    if (content.includes('createServer')) return inBackground(content, 'backend.log');
    return content.includes('event-pusher run') ? inBackground(content, 'pusher.log') : content;
  });
}

function until(condition: string): string {
  return `(set +x; for _ in $(seq 300); do if ${condition} >/dev/null; then exit 0; fi; sleep 0.2; done; cat *.log; exit 1)`;
}

function inBackground(commands: string, log: string): string {
  return `(\n{ set +x; } 2>/dev/null\n${commands}) >>${log} 2>&1 &`;
}
