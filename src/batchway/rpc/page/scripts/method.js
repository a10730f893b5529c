// One method: what it is on the left, what it does when called on the right.

const GENERAL = 'Methods';

const groupOf = (method) => method.tags?.[0]?.name ?? GENERAL;

/** The name without that of its procedure and what stands between. */
function shortName(method) {
  const group = method.tags?.[0]?.name;
  const rest = group && method.name.startsWith(group) ? method.name.slice(group.length).replace(/^[^\p{L}\p{N}_]+/u, '') : '';
  return rest || method.name;
}

/** The address of a method on this page. What may stand in a fragment as it is stays readable. */
const linkTo = (name) => `#${encodeURIComponent(name).replace(/%(40|3A|2F|24|2C|3B)/g, (code) => decodeURIComponent(code))}`;

/** Errors that any call may meet. Source: JSON-RPC 2.0, section 5.1. */
const COMMON_ERRORS = [
  { code: -32602, message: 'Invalid params', about: 'The data names each field that is wrong.' },
  { code: -32603, message: 'Internal error', about: 'The data has the id under which the server’s log has more.' },
];

/** A method's view: made once, so that what was typed and answered is there when one comes back. */
function makeMethodView(method) {
  const note = h('input', { type: 'checkbox', onchange: show });
  const sendButton = h('button.button.primary', { type: 'button', onclick: send });
  const addButton = h('button.button', { type: 'button', onclick: addToBatch }, icon('plus'), 'Add to batch');
  const request = requestCard(
    h('label.check', note, 'Notification'), h('span.spring'), addButton, sendButton);
  const response = responseCard();
  const sender = makeSender(sendButton, 'Send');
  const form = makeForm(method, show);

  const call = (params, id = 1) => makeCall(method.name, params, note.checked ? null : id);

  /** As far as the form is filled in; while there is no JSON in it, as it was before. */
  function show() {
    withParams((params) => request.set(call(params)), false);
  }

  /** Do this with the params, unless something is wrong with them, which the form says. */
  function withParams(action, strict = true) {
    let params;
    try {
      params = form.read(strict);
    } catch (error) {
      if (error instanceof Complaint) return undefined;
      throw error;
    }
    return action(params);
  }

  function send() {
    return withParams(async (params) => {
      const answer = await sender.send(writeJson(call(params)));
      if (answer === null) return;
      response.set(answer);
      const error = answer.text && maybeJson(answer.text);
      form.complain(isObject(error) && isObject(error.get('error')) ? error.get('error').get('data') : null);
    });
  }

  function addToBatch() {
    withParams((params) => batch.add(call(params, batch.freeId())));
  }

  show();
  const title = h('h1', { tabindex: '-1' }, method.name);
  return {
    title,
    element: h('article.method',
      h('header',
        h('div.title-line', title, copyButton('link', () => new URL(linkTo(method.name), location.href).href, { symbol: 'link' })),
        method.summary && h('p.lead', inline(method.summary)),
        prose(method.description)),
      h('div.columns',
        h('div.params', paramsSection(method, form)),
        h('div.try', request.element, response.element),
        h('div.about', resultSection(method), errorsSection(method)))),
    send,
    addToBatch,
    cancel: sender.cancel,
    refresh: request.refresh,
    write(found) {
      note.checked = !found.has('id');
      form.write(found.get('params'));
    },
  };
}

function section(title, aside, ...children) {
  return h('section', h('div.section-head', h('h2', title), aside), ...children);
}

function paramsSection(method, form) {
  if (method.params.length === 0) return section('Parameters', null, h('p.note', 'None.'));
  return section('Parameters', form.tabs, form.element);
}

function resultSection(method) {
  const { schema } = method.result;
  return section('Result', null,
    h('p', typeLine(schema)),
    resolve(schema).description && !membersIn(schema).length && h('p.note', resolve(schema).description),
    schemaTree(schema));
}

function errorsSection(method) {
  const own = method.errors ?? [];
  const known = new Set(own.map((error) => error.code));
  const common = COMMON_ERRORS.filter(({ code }) => !known.has(code) && (code !== -32602 || method.params.length > 0));
  return section('Errors', null, h('dl.errors', [...own, ...common].map((error) => [
    h('dt', h('code', String(error.code))),
    h('dd', error.message, error.about && h('span.note', ` ${error.about}`)),
  ])));
}
