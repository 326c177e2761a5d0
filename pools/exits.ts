/**
 * What HTTP exits and program units are written against, beside the callbacks: types alone. The names are those of
 * openUTM's event exit HTTP, in camelCase and without the prefix kcHttp.
 */

/**
 * The default export of an exit module, sync or async. Called once at the unit's first `mget` (`ioIndicator` I), where it
 * must supply all parts of the message, and once before the response is sent (O). Each time it has `[callbacks] timeout`.
 */
export type HttpExit = (par: HttpExitPar) => unknown;

/** The default export of a program unit's module, sync or async: it reads parts and writes parts. */
export type ProgramUnit = (call: ProgramUnitCall) => unknown;

/** What an exit is called with. */
export interface HttpExitPar extends HttpRequestParts {
  readonly utmHttpVersion: 1;
  /** I: the input message is read. O: the response is about to be sent. */
  readonly ioIndicator: 'I' | 'O';
  /**
   * 0 to go on. Anything else ends the service with 500: nothing of it is done. 1 to 255 becomes the secondary return code
   * (26 gives HX1A); what is none of these counts as 255, and so does an error that the exit throws.
   */
  retcode: number;
  readonly httpInfo: HttpInfo;
  /** The communication area: one object for both calls of the exit and for the unit, a fresh one for each request. */
  readonly ca: Record<string, unknown>;
  /**
   * I: empty. Left so, each `putMgetMessage` is one part; filled, it says how all that was put is cut into parts. O: number
   * and lengths of the parts that the unit has put. The exit may replace the object with another one.
   */
  structureInfo: ExitMsgInfo;
  /** I alone: supplies a part for the unit, text as UTF-8. Throws RangeError where there would be too much. */
  putMgetMessage(part: Uint8Array | string): void;
  /** O alone: a part that the unit has put, counted from 0; without an index all of them as one. Throws RangeError for one that is not there. */
  getMputMessage(index?: number): Bytes;
  /** O alone: the response's body; a second call adds to it. */
  putResponseBody(body: Uint8Array | string): void;
  /** O alone: 200 to 599. */
  putStatus(code: number): void;
  /** O alone: a header of the response; one name may come several times. Throws TypeError for what no header can be. */
  putHeader(name: string, value: string): void;
}

/** A Buffer. Where Node's types are not installed, as much of one as can be said without them. */
export type Bytes = typeof globalThis extends { readonly Buffer: { readonly prototype: infer B } } ? B : PlainBytes;

/** Bytes, and as text. */
interface PlainBytes extends Uint8Array {
  /** UTF-8 if not told. */
  toString(encoding?: 'base64' | 'hex' | 'latin1' | 'utf8'): string;
}

/** How a message is split: at most 254 parts, each of at most 32767 bytes. */
export interface ExitMsgInfo {
  nrMsgParts: number;
  lthMsgParts: number[];
}

/** Every component of the request. */
export interface HttpRequestParts {
  /** `1.1` */
  getVersion(): string;
  getScheme(): string;
  getMethod(): string;
  /** Normalised (RFC 3986 §6.2.2): no dot segments, no needless escapes. */
  getPath(): string;
  /** Without the `?`, as it came; empty without one. */
  getQuery(): string;
  /** Who has shown credentials; undefined where none were asked for. */
  getUser(): string | undefined;
  getHeaderCount(): number;
  /** By its name in any case, several joined by a comma and a space. `Authorization` is not shown. */
  getHeaderByName(name: string): string | undefined;
  /** Counted from 0, in the order in which they came. */
  getHeaderByIndex(index: number): { readonly name: string; readonly value: string } | undefined;
  /** The body; one of text in UTF-8 where the descriptor has `convert_text`. */
  getRequestBody(): Bytes;
  /** Resolves percent escapes; undefined where they are broken or not UTF-8. */
  percentDecode(text: string): string | undefined;
}

/** What is known of the request before it is read: as `init()` tells it to a program unit. */
export interface HttpInfo {
  readonly descriptor: string;
  readonly tac: string;
  /** The listener on which it came. */
  readonly bcamappl: string;
  readonly version: string;
  readonly scheme: string;
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly user: string | undefined;
  readonly contentType: string | undefined;
  readonly remoteAddress: string;
}

/** What a program unit is called with. */
export interface ProgramUnitCall {
  /** The next part of the message; undefined behind the last. The first call runs the exit. */
  mget(): Promise<Bytes | undefined>;
  /** Adds a part to the output, text as UTF-8. Throws RangeError where there would be too much. */
  mput(part: Uint8Array | string): void;
  init(): { readonly httpInfo: HttpInfo };
  readonly acc: UnitAcc;
}

/** What stays the same through one service. */
export interface UnitAcc {
  /** Names the request in logs. */
  readonly id: string;
  /** The attachment. */
  readonly origin: string;
  /** RFC 3339. */
  readonly receivedAt: string;
  /** As the exit's `ca`. */
  readonly ca: Record<string, unknown>;
}
