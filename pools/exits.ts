/**
 * The API for HTTP exits and program units, types only; `callbacks.ts` exports it too. The names are those of openUTM's event exit
 * HTTP, in camelCase and without the prefix kcHttp. A *service* here is openUTM's: one request on its way through an exit and a unit.
 */

/**
 * The default export of an exit module, sync or async. Called once at the unit's first `mget` (`ioIndicator` I), when it must
 * supply all parts of the message, and once before the response is sent (O). Each call is limited to `[callbacks] timeout`.
 */
export type HttpExit = (par: HttpExitPar) => unknown;

/** The default export of a program unit's module, sync or async. It reads and writes parts. */
export type ProgramUnit = (call: ProgramUnitCall) => unknown;

/** Argument of an exit. */
export interface HttpExitPar extends HttpRequestParts {
  readonly utmHttpVersion: 1;
  /** I: the input message is read. O: the response is about to be sent. */
  readonly ioIndicator: 'I' | 'O';
  /**
   * 0: continue. Any other value answers the request with 500, and the unit has no effect. 1 to 255 becomes the secondary return code (26
   * gives HX1A); any other value counts as 255, and so does an error that the exit throws.
   */
  retcode: number;
  readonly httpInfo: HttpInfo;
  /** The communication area: one object for both calls of the exit and for the unit, new for each request. */
  readonly ca: Record<string, unknown>;
  /**
   * I: empty. If it stays empty, each `putMgetMessage` is one part; otherwise it gives the lengths into which everything put is
   * split. O: number and lengths of the parts that the unit has put. The exit may replace the object.
   */
  structureInfo: ExitMsgInfo;
  /** Only I: supplies a part for the unit, text as UTF-8. Throws RangeError if the message would be too large. */
  putMgetMessage(part: Uint8Array | string): void;
  /** Only O: a part that the unit has put, counted from 0; without an index all parts as one. Throws RangeError for a missing part. */
  getMputMessage(index?: number): Bytes;
  /** Only O: the response's body; a further call appends to it. */
  putResponseBody(body: Uint8Array | string): void;
  /** Only O: 200 to 599. */
  putStatus(code: number): void;
  /** Only O: adds a header to the response; a name may be repeated. Throws TypeError for an invalid name or value. */
  putHeader(name: string, value: string): void;
}

/** A Buffer; without Node's types the part of it that is declared here. */
export type Bytes = typeof globalThis extends { readonly Buffer: { readonly prototype: infer B } } ? B : PlainBytes;

/** Bytes that can be converted to text. */
interface PlainBytes extends Uint8Array {
  /** Default: UTF-8. */
  toString(encoding?: 'base64' | 'hex' | 'latin1' | 'utf8'): string;
}

/** The parts of a message: at most 254, each of at most 32767 bytes. */
export interface ExitMsgInfo {
  nrMsgParts: number;
  lthMsgParts: number[];
}

/** All components of the request. */
export interface HttpRequestParts {
  /** `1.1` */
  getVersion(): string;
  getScheme(): string;
  getMethod(): string;
  /** Normalised (RFC 3986 §6.2.2): without dot segments and unnecessary escapes. */
  getPath(): string;
  /** Without the `?`, unchanged; empty if there is none. */
  getQuery(): string;
  /** The authenticated user; undefined if no credentials are required. */
  getUser(): string | undefined;
  getHeaderCount(): number;
  /** The name is case-insensitive; repeated values are joined by a comma and a space. `Authorization` is hidden. */
  getHeaderByName(name: string): string | undefined;
  /** Counted from 0, in the order of the request. */
  getHeaderByIndex(index: number): { readonly name: string; readonly value: string } | undefined;
  /** The body; text is converted to UTF-8 if the descriptor has `convert_text`. */
  getRequestBody(): Bytes;
  /** Decodes percent escapes; undefined if they are malformed or not UTF-8. */
  percentDecode(text: string): string | undefined;
}

/** The request without its body, which `init()` gives to a program unit. */
export interface HttpInfo {
  readonly descriptor: string;
  /** Transaction code, which names the program unit. */
  readonly tac: string;
  /** The listener that received it. */
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

/** Argument of a program unit. */
export interface ProgramUnitCall {
  /** The next part of the message; undefined after the last. The first call runs the exit. */
  mget(): Promise<Bytes | undefined>;
  /** Adds a part to the output, text as UTF-8. Throws RangeError if the output would be too large. */
  mput(part: Uint8Array | string): void;
  init(): { readonly httpInfo: HttpInfo };
  readonly acc: UnitAcc;
}

/** What a unit can read about its service at any time. */
export interface UnitAcc {
  /** Identifies the request in logs. */
  readonly id: string;
  /** The attachment's name. */
  readonly origin: string;
  /** RFC 3339. */
  readonly receivedAt: string;
  /** The same object as the exit's `ca`. */
  readonly ca: Record<string, unknown>;
}
