import { tellsWhatIsGone } from '../conformance/tap-restart.ts';
import { ejabberdTap } from '../support/ejabberd-tap.ts';
import { prosodyTap } from '../support/prosody-tap.ts';

tellsWhatIsGone(await prosodyTap());
tellsWhatIsGone(await ejabberdTap());
