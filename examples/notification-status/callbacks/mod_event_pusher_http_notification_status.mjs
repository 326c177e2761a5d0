// A push service that answers 200 to whatever it is given, and says in a header what it did with it:
//
//   X-NotificationStatus: Received     it will be shown
//   X-NotificationStatus: Suppressed   the device wants none now: later
//   X-NotificationStatus: QueueFull    the device's queue is full: later
//   X-SubscriptionStatus: Expired      nobody will ever see it: give up
import {
  DELIVERY_PERMFAILED,
  DELIVERY_SUCCESS,
  DELIVERY_TEMPFAILED,
  DLV_RESPONSE_STATUS,
  DLV_RESPONSE_STATUS_DETAIL,
  defineCallbacks,
  HTTP_INTERNAL_CONT,
  HTTP_INTERNAL_DONE,
  HTTP_INTERNAL_FAIL,
} from 'xmpp-event-pusher/callbacks';

// Statuses of our own, where no HTTP status is: 590 to 599 are taken.
const LATER = 1001;
const EXPIRED = 1002;

function mark({ context }, status, detail) {
  context.set(DLV_RESPONSE_STATUS, String(status));
  context.set(DLV_RESPONSE_STATUS_DETAIL, detail);
}

export default defineCallbacks({
  // Each attempt asks anew: `options.url` could as well be looked up here, or a token fetched.
  buildRequest({ request, message, opts }) {
    if (message.packet === undefined) {
      mark(message, EXPIRED, 'nothing is known of the stanza any more');
      return HTTP_INTERNAL_FAIL;
    }
    request.headers['content-type'] = 'text/xml; charset=utf-8';
    request.headers['x-notificationclass'] = String(opts.class ?? 3);
    request.body = message.packet.xml;
    return HTTP_INTERNAL_CONT;
  },

  handleResponse({ response, message }) {
    const notification = response.headers['x-notificationstatus'];
    if (response.headers['x-subscriptionstatus'] === 'Expired') mark(message, EXPIRED, 'the subscription has expired');
    else if (notification !== undefined && notification !== 'Received') mark(message, LATER, notification);
    else return HTTP_INTERNAL_CONT; // the status line speaks for itself

    return HTTP_INTERNAL_DONE;
  },

  statusClassifier(status, { origin }) {
    if (status === EXPIRED) return DELIVERY_PERMFAILED;
    if (status === LATER || origin === 'internal') return DELIVERY_TEMPFAILED;
    if (status >= 200 && status < 300) return DELIVERY_SUCCESS;
    return status >= 400 && status < 500 && status !== 429 ? DELIVERY_PERMFAILED : DELIVERY_TEMPFAILED;
  },

  disposePermfail({ id, context }) {
    console.error(`notification ${id} was given up: ${context.get(DLV_RESPONSE_STATUS_DETAIL)}`);
  },
});
