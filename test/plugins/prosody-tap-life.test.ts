import { reportsLifeEvents } from '../conformance/tap-life.ts';
import { prosodyTap } from '../support/prosody-tap.ts';

reportsLifeEvents(await prosodyTap());
