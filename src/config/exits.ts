/** What a listener with descriptors is configured to do: the words are those of openUTM's HTTP-DESCRIPTOR and PROGRAM statements. */
import type { TokenRate } from '../kit/pacing.ts';
import type { Credential } from './credential.ts';

/** Listeners whose requests descriptors route to program units. In the file: `type = "http"` with `descriptors`. */
export interface ExitsAttachment {
  readonly type: 'exits';
  readonly name: string;
  readonly listeners: readonly Listener[];
  readonly descriptors: readonly Descriptor[];
  /** Who may come in where a descriptor wants Basic authentication. */
  readonly users: readonly Credential[];
  /** Origins of web pages (RFC 6454) that may send requests here; those of others are turned away. */
  readonly origins: readonly string[];
  /** Local virtual hosts whose users may be named as senders. */
  readonly hosts: readonly string[];
  /** The attachment through which SENDMSG sends; undefined where no descriptor needs one. */
  readonly sendThrough: string | undefined;
  readonly maxBodyBytes: number;
  /** Header fields that a request may have. */
  readonly maxHeaders: number;
  /** A request must have come whole within this, ms. */
  readonly requestTimeoutMs: number;
  /** Bytes taken but not yet on disk, at most: then requests are turned away. */
  readonly maxUncommittedBytes: number;
  /** Maximum number of connections of each listener. */
  readonly maxConnections: number;
  /** Undefined: no limit. */
  readonly rateLimit: TokenRate | undefined;
}

/** Port 0 takes any free one. */
export interface Listener {
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

/** Links a path to an exit and to a program unit. */
export interface Descriptor {
  readonly name: string;
  /** Starts with `/`; one that ends in `/*` stands for all that begin with what is before the `*`. */
  readonly path: string;
  /** The one listener where it counts; undefined: all. */
  readonly listener: string | undefined;
  /** The transaction code, as the program unit is told it. */
  readonly tac: string;
  readonly unit: BuiltinUnit | UserModule;
  readonly exit: UserModule | { readonly kind: 'none' } | { readonly kind: 'system' };
  /** Bodies of text are decoded by the charset that the request names. */
  readonly convertText: boolean;
  readonly userAuth: 'basic' | 'none';
}

export interface BuiltinUnit {
  readonly kind: 'builtin';
  readonly name: 'PUSH' | 'SENDMSG' | 'STATUS';
}

/** A module of the user's: its name as in the file, and the URL where it was found. */
export interface UserModule {
  readonly kind: 'module';
  readonly name: string;
  readonly url: string;
}
