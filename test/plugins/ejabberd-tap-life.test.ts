import { reportsLifeEvents } from '../conformance/tap-life.ts';
import { ejabberdTap } from '../support/ejabberd-tap.ts';

reportsLifeEvents(await ejabberdTap());
