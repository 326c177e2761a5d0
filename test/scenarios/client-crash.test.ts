import { losesNothingOfItsAccountWhenKilled } from '../conformance/account-crash.ts';
import { accountsOnEjabberd, accountsOnProsody } from '../support/account-servers.ts';

const extent = { total: 600, kills: 3 };

losesNothingOfItsAccountWhenKilled(await accountsOnProsody(), extent);
losesNothingOfItsAccountWhenKilled(await accountsOnEjabberd(), extent);
