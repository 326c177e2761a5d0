/**
 * The files that a configuration names: secrets (`${file:…}`), certificates, keys, users. They are read here, so that a running service
 * notices when one of them changes.
 */
import { open, stat } from 'node:fs/promises';
import type { Timers } from '../kit/clock.ts';
import type { Lifecycle } from '../kit/lifecycle.ts';

/** The state of each file when it was read, by absolute path. */
export type FileStates = ReadonlyMap<string, string>;

/** A configuration may name more files; only these are watched. */
export const maxWatchedFiles = 1000;

/** Reads named files and remembers their states. */
export class NamedFiles {
  readonly #states = new Map<string, string>();
  /** The texts of pipes, which can be read once only: opening one again would wait for a writer. */
  readonly #pipes: Map<string, string>;

  /** `former` has read the same configuration: pipes keep the text that they had. */
  constructor(former?: NamedFiles) {
    this.#pipes = new Map(former === undefined ? [] : former.#pipes);
  }

  get states(): FileStates {
    return this.#states;
  }

  /** Reads a file as text. Rejects with the error of the system. The state is taken first, so that a write in between counts as a change. */
  async read(path: string): Promise<string> {
    const piped = this.#pipes.get(path);
    if (piped !== undefined) return piped;
    const file = await open(path);
    try {
      const found = await file.stat({ bigint: true });
      if (found.isFile()) this.#note(path, stateOf(found));
      const text = await file.readFile('utf8');
      if (!found.isFile()) this.#pipes.set(path, text);
      return text;
    } finally {
      await file.close();
    }
  }

  /** The first state counts: two parts of a configuration may read the same file, and differ if it is written in between. */
  #note(path: string, state: string): void {
    if (this.#states.size < maxWatchedFiles && !this.#states.has(path)) this.#states.set(path, state);
  }
}

type Facts = Readonly<Record<'ctimeNs' | 'dev' | 'ino' | 'mtimeNs' | 'size', bigint>>;

/** Another file in its place differs in the inode, also if a symbolic link on the path was replaced, as in a volume of Kubernetes. */
function stateOf({ dev, ino, size, mtimeNs, ctimeNs }: Facts): string {
  return [dev, ino, size, mtimeNs, ctimeNs].join(' ');
}

interface FileWatchOptions {
  /** The states of the files that are in use. */
  readonly inUse: () => FileStates;
  /** Called when files have changed and have then stayed the same; once for each change. Must not reject. */
  readonly onChanged: () => Promise<unknown>;
  readonly timers: Timers;
}

/** Time between two looks at the files, ms. A change is reported at the second look that finds it: a key may be written after its certificate. */
const lookEveryMs = 2000;

/**
 * Looks at the files at regular intervals: notifications of the system miss replaced links and network file systems. A change that could
 * not be taken over is reported again only after the next change.
 */
export class FileWatch implements Lifecycle {
  readonly #options: FileWatchOptions;
  #last = '';
  #reported = '';
  #cancel: () => void = () => undefined;
  #isStopped = false;

  constructor(options: FileWatchOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    this.#schedule();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancel();
  }

  #schedule(): void {
    if (!this.#isStopped) this.#cancel = this.#options.timers.after(lookEveryMs, () => void this.#look().finally(() => this.#schedule()));
  }

  async #look(): Promise<void> {
    const changed = await changesSince(this.#options.inUse());
    const isReady = changed !== '' && changed === this.#last && changed !== this.#reported;
    this.#last = changed;
    if (changed === '') this.#reported = '';
    if (!isReady || this.#isStopped) return;
    this.#reported = changed;
    await this.#options.onChanged();
  }
}

/** The files that have changed, and their states, as text to compare; empty if none has. */
async function changesSince(states: FileStates): Promise<string> {
  const changed: string[] = [];
  for (const [path, state] of states) {
    const now = await stat(path, { bigint: true }).then(stateOf, (error: NodeJS.ErrnoException) => error.code ?? error.message);
    if (now !== state) changed.push(`${path} ${now}`);
  }
  return changed.join('\n');
}
