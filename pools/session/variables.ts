import type { ContextVariables } from '../../src/model/delivery.ts';
import { DLV_RESPONSE_STATUS, DLV_RESPONSE_STATUS_DETAIL, type MessageContext } from '../callbacks.ts';

/** What the variables of one message may take together, names included, bytes as UTF-8. */
const MAX_BYTES = 16_384;
/** How much of a detail that we set ourselves is kept, in characters. */
const MAX_DETAIL = 256;

/** The variables of one message: as the module sees them, and as we do. */
export interface Variables {
  readonly context: MessageContext;
  /** `DLV_RESPONSE_STATUS`: undefined where it is not set, NaN where it is no integer. */
  readonly status: number | undefined;
  /** `DLV_RESPONSE_STATUS_DETAIL`; empty where it is not set. */
  readonly detail: string;
  /** What is kept over attempts: all but the two. */
  readonly kept: ContextVariables;
  set(status: number, detail: string): void;
  /** Forgets the two, before the message is built. */
  clear(): void;
}

/** Begins with what earlier attempts have kept. */
export function createVariables(kept: ContextVariables): Variables {
  const values = new Map(Object.entries(kept));

  function clear(): void {
    values.delete(DLV_RESPONSE_STATUS);
    values.delete(DLV_RESPONSE_STATUS_DETAIL);
  }
  clear();

  return {
    context: Object.freeze(contextOver(values)),
    get status() {
      const text = values.get(DLV_RESPONSE_STATUS);
      return text === undefined ? undefined : integerIn(text);
    },
    get detail() {
      return values.get(DLV_RESPONSE_STATUS_DETAIL) ?? '';
    },
    get kept() {
      const { [DLV_RESPONSE_STATUS]: _status, [DLV_RESPONSE_STATUS_DETAIL]: _detail, ...others } = Object.fromEntries(values);
      return others;
    },
    set: (status, detail) => {
      values.set(DLV_RESPONSE_STATUS, String(status));
      values.set(DLV_RESPONSE_STATUS_DETAIL, detail.slice(0, MAX_DETAIL));
    },
    clear,
  };
}

function contextOver(values: Map<string, string>): MessageContext {
  function set(name: string, value: string): void {
    if (typeof name !== 'string') throw new TypeError(`expected the name of a variable to be a string, got ${typeof name}`);
    if (typeof value !== 'string') throw new TypeError(`expected the variable ${name} to be a string, got ${typeof value}`);
    const others = [...values].filter(([other]) => other !== name);
    const bytes = [...others, [name, value]].flat().reduce((sum, text) => sum + Buffer.byteLength(text), 0);
    if (bytes > MAX_BYTES) throw new RangeError(`the variable ${name} would bring the context over ${MAX_BYTES} bytes`);
    values.set(name, value);
  }

  return {
    get: (name) => values.get(name),
    set,
    delete: (name) => values.delete(name),
    keys: () => [...values.keys()],
  };
}

function integerIn(text: string): number {
  return /^-?\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
}
