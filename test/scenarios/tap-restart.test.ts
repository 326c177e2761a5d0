import { reportsLostItems } from '../conformance/tap-restart.ts';
import { ejabberdTap } from '../support/ejabberd-tap.ts';
import { prosodyTap } from '../support/prosody-tap.ts';

reportsLostItems(await prosodyTap());
reportsLostItems(await ejabberdTap());
