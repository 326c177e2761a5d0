import { seesWhatUsersSay } from '../conformance/tap-packets.ts';
import { ejabberdTap } from '../support/ejabberd-tap.ts';

seesWhatUsersSay(await ejabberdTap());
