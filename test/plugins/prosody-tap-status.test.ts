import { tellsWhoComesAndGoes } from '../conformance/tap-status.ts';
import { prosodyTap } from '../support/prosody-tap.ts';

tellsWhoComesAndGoes(await prosodyTap());
