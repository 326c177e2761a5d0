import { seesWhoeverSpeaks } from '../conformance/tap-origins.ts';
import { ejabberdTap } from '../support/ejabberd-tap.ts';

seesWhoeverSpeaks(await ejabberdTap());
