/** Who may use the API: the holders of `[admin] token` and of `[admin] tokens`. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { AccessToken, ListenConfig } from '../config/service-config.ts';
import type { Secret } from '../kit/secret.ts';

/** A holder of a token. */
export interface Principal {
  /** Empty for `[admin] token`. */
  readonly name: string;
  /** Whether it may change anything. */
  readonly mayOperate: boolean;
  readonly mayReadContent: boolean;
}

type TokenConfig = Pick<ListenConfig, 'token' | 'tokens'>;

/** Sees and changes everything. */
const owner: Principal = { name: '', mayOperate: true, mayReadContent: true };

export class Principals {
  readonly #token: Secret | undefined;
  readonly #tokens: readonly AccessToken[];
  /** Makes the keys of sessions secret: a hash in the configuration is not. */
  readonly #salt: string;

  constructor({ token, tokens = [] }: TokenConfig) {
    this.#token = token;
    this.#tokens = tokens;
    this.#salt = token?.reveal() ?? randomBytes(32).toString('hex');
  }

  /** Whether any token is configured. */
  get exist(): boolean {
    return this.#token !== undefined || this.#tokens.length > 0;
  }

  /** The holder of this token. All comparisons take constant time. */
  ofToken(offered: string): Principal | undefined {
    if (this.#token?.matches(offered) === true) return owner;
    const hash = createHash('sha256').update(offered).digest();
    const found = this.#tokens.find((each) => timingSafeEqual(Buffer.from(each.hash, 'hex'), hash));
    return found && principalOf(found);
  }

  ofName(name: string): Principal | undefined {
    if (name === '') return this.#token && owner;
    const found = this.#tokens.find((each) => each.name === name);
    return found && principalOf(found);
  }

  /** The key of a principal's sessions. It changes with the token, which ends these sessions. */
  sessionKey({ name }: Principal): Buffer {
    const hash = this.#tokens.find((each) => each.name === name)?.hash ?? '';
    return createHash('sha256').update(`event-pusher session\n${hash}\n${this.#salt}`).digest();
  }
}

function principalOf({ name, role, content }: AccessToken): Principal {
  return { name, mayOperate: role === 'operate', mayReadContent: content };
}
