// Elements. Words of a service are only ever set as text, so none of them becomes markup.

const SVG = 'http://www.w3.org/2000/svg';

const ICONS = {
  menu: 'M2.5 4h11M2.5 8h11M2.5 12h11',
  close: 'M4 4l8 8M12 4l-8 8',
  up: 'M8 12.5v-9M4 7l4-4 4 4',
  down: 'M8 3.5v9M4 9l4 4 4-4',
  copy: 'M5.5 5.5v-3h8v8h-3M2.5 5.5h8v8h-8z',
  done: 'M3 8.5l3.5 3.5L13 4.5',
  sun: 'M8 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6M8 1v1.4M8 13.6V15M1 8h1.4M13.6 8H15M3 3l1 1M12 12l1 1M3 13l1-1M12 4l1-1',
  moon: 'M13.3 9.6A5.8 5.8 0 0 1 6.4 2.7a5.8 5.8 0 1 0 6.9 6.9z',
  keyboard: 'M1.5 4h13v8h-13zM4 6.5h.01M6.7 6.5h.01M9.3 6.5h.01M12 6.5h.01M4.5 9.5h7',
  link: 'M6.8 9.2a2.6 2.6 0 0 0 3.7 0l2-2a2.6 2.6 0 0 0-3.7-3.7l-.6.6M9.2 6.8a2.6 2.6 0 0 0-3.7 0l-2 2a2.6 2.6 0 0 0 3.7 3.7l.6-.6',
  plus: 'M8 3.5v9M3.5 8h9',
  grip: 'M6 4h.01M10 4h.01M6 8h.01M10 8h.01M6 12h.01M10 12h.01',
};

/** An element: `h('p.lead', {id: 'a', onclick: f}, 'text', child)`. What is null or false is left out. */
function h(selector, ...rest) {
  const [tag, ...classes] = selector.split('.');
  const element = document.createElement(tag);
  element.classList.add(...classes);
  const first = rest[0];
  const properties = first && Object.getPrototypeOf(first) === Object.prototype ? rest.shift() : {};
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith('on')) {
      element.addEventListener(name.slice(2), value);
    } else if (['value', 'checked', 'disabled', 'hidden'].includes(name)) {
      element[name] = value;
    } else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? '' : value);
    }
  }
  add(element, rest);
  return element;
}

function add(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
}

/** Put these in place of what an element has. */
function fill(element, ...children) {
  element.replaceChildren();
  add(element, children);
  return element;
}

function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 16 16');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(SVG, 'path');
  path.setAttribute('d', ICONS[name]);
  svg.append(path);
  return svg;
}

function iconButton(name, label, onclick, properties = {}) {
  return h('button.icon-button', { type: 'button', 'aria-label': label, title: label, onclick, ...properties }, icon(name));
}

const byId = (id) => document.getElementById(id);

let lastId = 0;
const freshId = (prefix) => `${prefix}-${++lastId}`;

/** Tell those who do not see the screen. */
function announce(text) {
  byId('announcer').textContent = text;
}

/** Copy to the clipboard; by the old way where the page is not served securely. */
async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = h('textarea.hidden', { value: text, 'aria-hidden': 'true' });
  const focused = document.activeElement;
  (focused?.closest('dialog') ?? document.body).append(area);
  area.select();
  const copied = document.execCommand('copy');
  area.remove();
  focused?.focus();
  if (!copied) throw new Error('refused');
}

/** A button that copies what `text` returns, and says so. `label` says what that is; `words` stand on it. */
function copyButton(label, text, { words = null, symbol = 'copy' } = {}) {
  const button = words === null
    ? iconButton(symbol, `Copy ${label}`, run)
    : h('button.button', { type: 'button', onclick: run }, icon(symbol), words);
  let timer;

  async function run() {
    let outcome = 'Copied';
    try {
      await copy(text());
    } catch {
      outcome = 'The browser did not let the page copy';
    }
    announce(outcome);
    button.title = outcome;
    button.classList.toggle('done', outcome === 'Copied');
    button.firstChild.replaceWith(icon(outcome === 'Copied' ? 'done' : 'close'));
    clearTimeout(timer);
    timer = setTimeout(() => {
      button.title = `Copy ${label}`;
      button.classList.remove('done');
      button.firstChild.replaceWith(icon(symbol));
    }, 1500);
  }
  return button;
}

/** Buttons of which one is pressed; `choose` is called with the key of the one that was. */
function segments(label, choices, choose) {
  const buttons = new Map();
  for (const [key, words] of Object.entries(choices)) {
    buttons.set(key, h('button', { type: 'button', onclick: () => choose(key) }, words));
  }
  const show = (chosen) => {
    for (const [key, button] of buttons) button.setAttribute('aria-pressed', String(key === chosen));
  };
  show(Object.keys(choices)[0]);
  return { element: h('div.segments', { role: 'group', 'aria-label': label }, ...buttons.values()), show };
}

/** A text field of as many lines as there are in it. */
function editor(properties) {
  const area = h('textarea.code', { rows: 1, spellcheck: 'false', autocapitalize: 'off', autocomplete: 'off', ...properties });
  const least = Number(area.rows);
  const fit = () => {
    area.rows = Math.min(Math.max(least, area.value.split('\n').length), 24);
  };
  area.addEventListener('input', fit);
  return {
    area,
    set(text) {
      area.value = text;
      fit();
    },
  };
}
