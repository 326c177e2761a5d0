import { takesTheFeedFromAFrozenPusher } from '../conformance/tap-frozen.ts';
import { ejabberdTap } from '../support/ejabberd-tap.ts';
import { prosodyTap } from '../support/prosody-tap.ts';

takesTheFeedFromAFrozenPusher(await prosodyTap());
takesTheFeedFromAFrozenPusher(await ejabberdTap());
