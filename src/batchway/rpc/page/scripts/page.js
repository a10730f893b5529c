// All of it together: which view is shown, the theme, headers, keys.

const BATCH = 'rpc.batch'; // no method's: names that begin with rpc. are reserved

const methods = service.methods;
const methodNames = new Map(methods.map((method) => [method.name, method]));
const groups = makeGroups(methods);
const views = new Map();
const batch = makeBatch();
const overview = makeOverview();
const sidebar = makeSidebar(groups);
let view = null;

// --- views

function makeOverview() {
  const title = h('h1', { tabindex: '-1' }, service.info.title);
  const count = methods.length === 1 ? '1 method' : `${methods.length} methods`;
  return {
    title,
    element: h('article.overview',
      h('header',
        h('div.title-line', title),
        h('p.lead', `JSON-RPC 2.0, version ${service.info.version}, ${count}.`),
        prose(service.info.description),
        h('div.actions',
          copyButton('OpenRPC document', () => layOut(toJson(service)), { words: 'Copy OpenRPC document' }),
          copyButton('curl command', exampleCurl, { words: 'Copy a batch as curl' }))),
      methods.length === 0 && h('p.empty', 'This service has no methods.'),
      groups.map(groupSection)),
  };
}

/** A command that calls the first methods that need no params. */
function exampleCurl() {
  const plain = methods.filter((method) => !method.params.some((param) => param.required)).slice(0, 2);
  const chosen = plain.length ? plain : methods.slice(0, 1);
  return curl(writeJson(chosen.map((method, index) => makeCall(method.name, undefined, index + 1))));
}

function groupSection(group) {
  return h('section.group',
    h('h2', group.name),
    prose(group.tag?.description),
    h('ul.method-list', group.methods.map((method) => h('li',
      h('a', { href: linkTo(method.name) }, h('code', method.name)),
      h('span.note', inline(method.summary ?? ''))))));
}

function viewOf(name) {
  if (name === BATCH) return batch;
  if (!methodNames.has(name)) return overview;
  if (!views.has(name)) views.set(name, makeMethodView(methodNames.get(name)));
  return views.get(name);
}

/** The name in the address; what is no proper encoding is taken as it stands. */
function nameInAddress() {
  const fragment = location.hash.slice(1);
  try {
    return decodeURIComponent(fragment);
  } catch {
    return fragment;
  }
}

function navigate(focus = true) {
  const name = nameInAddress();
  if (name === 'main') return; // of the link that skips to it
  const isKnown = name === '' || name === BATCH || methodNames.has(name);
  view = viewOf(name);
  fill(byId('main'), !isKnown && h('p.missing', { role: 'status' }, 'There is no method ', h('code', name), '.'), view.element);
  view.refresh?.();
  sidebar.mark(methodNames.has(name) ? name : null);
  if (name === BATCH) byId('open-batch').setAttribute('aria-current', 'page');
  else byId('open-batch').removeAttribute('aria-current');
  const { title } = service.info;
  document.title = view === overview ? title : `${view.title.textContent} · ${title}`;
  closeMenu();
  scrollTo(0, 0);
  if (focus) view.title.focus({ preventScroll: true });
}

/** Open a method with what a call of the batch has. */
function openFrom(name, call) {
  viewOf(name).write(call);
}

// --- the menu of narrow screens

const narrow = matchMedia('(max-width: 860px)');

function showMenu(open) {
  const isOpen = open && narrow.matches;
  byId('sidebar').classList.toggle('open', isOpen);
  byId('sidebar').inert = narrow.matches && !isOpen;
  byId('page').inert = isOpen;
  byId('scrim').hidden = !isOpen;
  byId('open-menu').setAttribute('aria-expanded', String(isOpen));
}

function openMenu() {
  showMenu(true);
  byId('search').focus();
}

function closeMenu() {
  const wasOpen = byId('sidebar').classList.contains('open');
  showMenu(false);
  return wasOpen;
}

// --- the theme

const systemIsDark = matchMedia('(prefers-color-scheme: dark)');
const THEME = 'batchway-theme';

/** Storage may be refused; then the choice lasts as long as the page. */
function storedTheme(...chosen) {
  try {
    if (chosen.length === 0) return localStorage.getItem(THEME);
    if (chosen[0] === null) localStorage.removeItem(THEME);
    else localStorage.setItem(THEME, chosen[0]);
  } catch {
    // no storage
  }
  return null;
}

function isDark() {
  const { theme } = document.documentElement.dataset;
  return theme ? theme === 'dark' : systemIsDark.matches;
}

function showTheme(theme) {
  if (theme === 'dark' || theme === 'light') document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  const label = isDark() ? 'Light theme' : 'Dark theme';
  fill(byId('theme'), icon(isDark() ? 'sun' : 'moon'));
  byId('theme').setAttribute('aria-label', label);
  byId('theme').title = label;
}

function toggleTheme() {
  const wanted = isDark() ? 'light' : 'dark';
  const isSystems = (wanted === 'dark') === systemIsDark.matches;
  showTheme(isSystems ? null : wanted);
  storedTheme(isSystems ? null : wanted);
}

// --- headers

function showHeaderCount() {
  const size = extraHeaders.length;
  fill(byId('open-headers'), 'Headers', size > 0 && h('span.badge', String(size)));
  byId('open-headers').setAttribute('aria-label', `Request headers, ${size} set`);
}

function headerRow([name, value], names) {
  const complaint = h('p.complaint', { role: 'status' });
  const nameField = h('input.code', { type: 'text', value: name, 'aria-label': 'Header name', placeholder: 'Authorization', autocomplete: 'off', spellcheck: 'false', list: names });
  const valueField = h('input.code', { type: 'text', value, 'aria-label': 'Header value', placeholder: 'Bearer …', autocomplete: 'off', spellcheck: 'false' });
  const row = h('div.header-row', nameField, valueField, iconButton('close', 'Remove header', () => row.remove()), complaint);
  return Object.assign(row, {
    read: () => [nameField.value.trim(), valueField.value.trim()],
    complain(text) {
      complaint.textContent = text ?? '';
      if (text) nameField.focus();
    },
  });
}

function openHeaders() {
  const dialog = byId('headers');
  const names = freshId('names');
  const rows = h('div.header-rows');
  const addRow = (pair = ['', '']) => {
    const row = headerRow(pair, names);
    rows.append(row);
    return row;
  };
  extraHeaders.forEach((pair) => addRow(pair));
  if (extraHeaders.length === 0) addRow();

  function save(event) {
    event.preventDefault();
    const filled = [...rows.children].filter((row) => row.read().join('') !== '');
    const wrong = filled.filter((row) => {
      const complaint = headerComplaint(...row.read());
      row.complain(complaint);
      return complaint !== null;
    });
    if (wrong.length) return;
    extraHeaders = filled.map((row) => row.read());
    showHeaderCount();
    view.refresh?.();
    dialog.close();
  }
  fill(dialog, h('form', { method: 'dialog', onsubmit: save },
    h('h2', { id: 'headers-title' }, 'Request headers'),
    h('p.note', 'Sent with each call. They are kept in memory only, until the page is left.'),
    h('datalist', { id: names }, ['Authorization', 'X-API-Key', 'X-Request-Id'].map((value) => h('option', { value }))),
    rows,
    h('div.actions',
      h('button.button', { type: 'button', onclick: () => addRow().querySelector('input').focus() }, icon('plus'), 'Add header'),
      h('span.spring'),
      h('button.button', { type: 'button', onclick: () => dialog.close() }, 'Cancel'),
      h('button.button.primary', { type: 'submit' }, 'Save'))));
  dialog.showModal();
  rows.querySelector('input').focus();
}

// --- keys

const KEYS = [
  ['/', 'Filter methods; ↑ and ↓ go through them'],
  [`${COMMAND}↵`, 'Send the call, or the batch'],
  [`${COMMAND}⇧ ↵`, 'Add the call to the batch'],
  ['b', 'Show the batch'],
  ['h', 'Request headers'],
  ['Esc', 'Cancel what is sent, close what is open'],
  ['?', 'These keys'],
];

function openKeys() {
  const dialog = byId('keys');
  fill(dialog,
    h('h2', { id: 'keys-title' }, 'Keyboard shortcuts'),
    h('dl.keys', KEYS.map(([key, words]) => [h('dt', h('kbd', key)), h('dd', words)])),
    h('div.actions', h('span.spring'), h('button.button.primary', { type: 'button', onclick: () => dialog.close() }, 'Close')));
  dialog.showModal();
}

const SHORTCUTS = {
  '/': () => (narrow.matches ? openMenu() : byId('search').focus()),
  b: () => { location.hash = BATCH; },
  h: openHeaders,
  '?': openKeys,
};

const isTyping = (target) => target.matches?.('input:not([type=checkbox]), textarea, select');

function pressed(event) {
  if (document.querySelector('dialog[open]') || event.defaultPrevented || event.isComposing) return;
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    (event.shiftKey ? view.addToBatch : view.send)?.();
  } else if (event.key === 'Escape') {
    if (closeMenu()) byId('open-menu').focus();
    else view.cancel?.();
  } else if (!event.ctrlKey && !event.metaKey && !event.altKey && !isTyping(event.target) && SHORTCUTS[event.key]) {
    event.preventDefault();
    SHORTCUTS[event.key]();
  }
}

// --- begin

function begin() {
  byId('version').textContent = service.info.version;
  fill(byId('open-menu'), icon('menu'));
  fill(byId('close-menu'), icon('close'));
  fill(byId('open-keys'), icon('keyboard'));
  fill(byId('endpoint'), h('span.verb', 'POST'), h('code', endpoint), copyButton('address', () => endpoint));
  showHeaderCount();
  showTheme(storedTheme());
  systemIsDark.addEventListener('change', () => showTheme(document.documentElement.dataset.theme));
  narrow.addEventListener('change', () => showMenu(false));
  byId('theme').addEventListener('click', toggleTheme);
  byId('open-menu').addEventListener('click', openMenu);
  byId('close-menu').addEventListener('click', () => closeMenu() && byId('open-menu').focus());
  byId('scrim').addEventListener('click', closeMenu);
  byId('open-headers').addEventListener('click', openHeaders);
  byId('open-keys').addEventListener('click', openKeys);
  byId('methods').addEventListener('click', closeMenu);
  byId('skip').addEventListener('click', (event) => {
    event.preventDefault();
    byId('main').focus();
  });
  addEventListener('keydown', pressed);
  addEventListener('hashchange', () => navigate());
  navigate(false);
}

begin();
