// One module with two kinds of callbacks. The others (shouldMakeReq, prepareHeaders, prepareBody) are those of the default module, which
// sends the form.
import { randomUUID } from 'node:crypto';
import {
  DELIVERY_PERMFAILED,
  DELIVERY_SUCCESS,
  DELIVERY_TEMPFAILED,
  DLV_RESPONSE_STATUS,
  DLV_RESPONSE_STATUS_DETAIL,
  defineCallbacks,
  HTTP_INTERNAL_CONT,
  HTTP_INTERNAL_DONE,
} from 'xmpp-event-pusher/callbacks';

// A status outside of HTTP; 590 to 599 are used by the service.
const LATER = 1001;

export default defineCallbacks({
  // In the thread of the pool, for each attempt: this backend always answers 200, and reports the result in a header.
  handleResponse({ response, message: { context } }) {
    const notification = response.headers['x-notificationstatus'];
    if (notification === undefined || notification === 'Received') return HTTP_INTERNAL_CONT;
    context.set(DLV_RESPONSE_STATUS, String(LATER));
    context.set(DLV_RESPONSE_STATUS_DETAIL, notification);
    return HTTP_INTERNAL_DONE;
  },

  statusClassifier(status) {
    if (status >= 200 && status < 300) return DELIVERY_SUCCESS;
    return status >= 400 && status < 500 && status !== 429 ? DELIVERY_PERMFAILED : DELIVERY_TEMPFAILED;
  },

  // While the chat server holds the message: asks the same question as before a push, about the message itself. Errors are thrown, and
  // the on_failure of the chat server's module applies.
  async gate({ packet, from, to, opts }) {
    const answer = await fetch(`${opts.business_server}?command=callbackBeforePushCommand&contenttype=json`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', operationID: randomUUID() },
      body: JSON.stringify({
        callbackCommand: 'callbackBeforePushCommand',
        clientMsgID: packet.attrs.id ?? '',
        sendID: from.user,
        userIDList: [to.user],
        contentType: 1,
        sessionType: 1,
        content: packet.text('body'),
      }),
    });
    if (!answer.ok) throw new Error(`the business server answers ${answer.status}`);
    const { actionCode, nextCode, errMsg } = await answer.json();
    if (Number(actionCode) !== 0) throw new Error(`the business server answers actionCode ${actionCode}`);
    return Number(nextCode) === 1 ? { refuse: errMsg || 'Your message was not sent.' } : true;
  },
});
