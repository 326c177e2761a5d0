// A push service that answers 200 to every request, and reports the result in a header:
//
//   X-NotificationStatus: Received     the notification will be shown
//   X-NotificationStatus: Suppressed   the device suppresses notifications: retry
//   X-NotificationStatus: QueueFull    the queue of the device is full: retry
//   X-SubscriptionStatus: Expired      the subscription has ended: give up
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

// Statuses outside of HTTP; 590 to 599 are used by the service.
const LATER = 1001;
const EXPIRED = 1002;

function mark({ context }, status, detail) {
  context.set(DLV_RESPONSE_STATUS, String(status));
  context.set(DLV_RESPONSE_STATUS_DETAIL, detail);
}

export default defineCallbacks({
  // Called for each attempt: the URL could be looked up here, or a token fetched.
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
