// Signing in, the ways through the page, and signing out. Each view is a function of the element to fill and of what
// is in the address; the signal tells it that the page has gone elsewhere.

import { onSessionEnd, query, signIn, signOut } from './client.js';
import { VIEWER } from './documents.js';
import { button, complain, field, form, h, input } from './dom.js';
import { showBacktest, showBacktests, showComparison } from './backtests.js';

const VIEWS = {
  backtests: { title: 'Backtests', show: (main, context) => (context.id ? showBacktest : showBacktests)(main, context) },
  compare: { title: 'Compare', show: showComparison, under: 'backtests' },
};

const main = document.getElementById('main');
let viewer = null;
let leaving = new AbortController();

export const go = (...parts) => (location.hash = `/${parts.map(encodeURIComponent).join('/')}`);

function where() {
  const [name, id] = location.hash.replace(/^#\/?/, '').split('/').map(decodeURIComponent);
  return { name: name in VIEWS ? name : 'backtests', id };
}

async function show() {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const { name, id } = where();
  showHeader(name);
  if (!viewer) return showSignIn();
  const { title, show: view } = VIEWS[name];
  document.title = `${title} · gql_trader`;
  main.replaceChildren(h('p', { class: 'quiet' }, 'Loading…'));
  try {
    await view(main, { id, viewer, signal, go, reload: show });
    if (!signal.aborted) main.querySelector('h1')?.focus();
  } catch (error) {
    if (signal.aborted) return;
    main.replaceChildren(h('p', { class: 'problem', role: 'alert' }, error.message), button('Try again', show));
    if (!['ApiError', 'RefusedError'].includes(error.name)) console.error(error);
  }
}

function showHeader(current) {
  const open = Object.entries(VIEWS).filter(([, view]) => !view.under && (!view.role || view.role === viewer?.role));
  const links = open.map(([name, { title }]) =>
    h('a', { href: `#/${name}`, 'aria-current': name === (VIEWS[current].under ?? current) ? 'page' : null }, title),
  );
  document.getElementById('header').replaceChildren(
    h('a', { class: 'brand', href: '#/' }, h('img', { src: 'static/page/icon.svg', alt: '', width: 22, height: 22 }), 'gql_trader'),
    h('nav', { 'aria-label': 'Main' }, viewer ? links : []),
    viewer ? h('span', { class: 'account' }, h('span', {}, viewer.username), button('Sign out', leave, { class: 'plain' })) : '',
  );
}

async function leave() {
  await signOut();
  viewer = null;
  await show();
}

function showSignIn() {
  document.title = 'Sign in · gql_trader';
  const login = input({ name: 'login', autocomplete: 'username', required: true });
  const password = input({ name: 'password', type: 'password', autocomplete: 'current-password', required: true });
  const remember = input({ name: 'remember', type: 'checkbox' });
  const code = input({ name: 'code', autocomplete: 'one-time-code', inputmode: 'numeric' });
  const second = field('Code of your second factor', code);
  second.hidden = true;

  async function submit() {
    const given = { login: login.value, password: password.value, rememberMe: remember.checked };
    try {
      await signIn(code.value ? { ...given, totpCode: code.value.trim() } : given);
    } catch (error) {
      if (error.name === 'RefusedError' && error.has('TOTP_REQUIRED')) {
        second.hidden = false;
        code.focus();
        if (!code.value) return;
      }
      throw error;
    }
    await begin();
  }

  main.replaceChildren(
    form(
      { class: 'card sign-in' },
      submit,
      h('h1', { tabindex: -1 }, 'Sign in'),
      field('Username or e-mail', login),
      field('Password', password),
      second,
      field('Stay signed in', remember),
      h('button', { type: 'submit', class: 'primary' }, 'Sign in'),
    ),
  );
  login.focus();
}

async function begin() {
  viewer = (await query(VIEWER)).me;
  await show();
}

onSessionEnd(() => {
  if (!viewer) return;
  viewer = null;
  show();
});
addEventListener('hashchange', () => show());
begin().catch(complain);
