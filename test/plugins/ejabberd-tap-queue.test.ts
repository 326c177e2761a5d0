import { keepsWhatItSaw } from '../conformance/tap-queue.ts';
import { ejabberdTap } from '../support/ejabberd-tap.ts';

keepsWhatItSaw(await ejabberdTap());
