// Administration: letting in who has signed up, and shutting out.

import { mutate, query } from './client.js';
import { APPROVE_USER, DISABLE_USER, ENABLE_USER, USERS } from './documents.js';
import {
  bar, button, choice, complain, day, h, heading, input, latest, noted, replace, say, table, words,
} from './dom.js';

const STATUSES = [['PENDING', 'waiting for approval'], ['ACTIVE', 'active'], ['DISABLED', 'disabled']];

export async function showAdministration(main, { viewer, signal }) {
  const status = choice(STATUSES, 'PENDING', { 'aria-label': 'Status' });
  const search = input({ type: 'search', placeholder: 'Name or e-mail', 'aria-label': 'Search' });
  const list = h('div');

  const act = (text, document, user, done) => button(text, async () => {
    await mutate(document, { id: user.id });
    say(`${user.username} ${done}.`);
    await load();
  });
  const actions = {
    PENDING: (user) => [
      act('Approve', APPROVE_USER, user, 'may sign in now'), act('Refuse', DISABLE_USER, user, 'is refused'),
    ],
    ACTIVE: (user) => [act('Disable', DISABLE_USER, user, 'is disabled')],
    DISABLED: (user) => [act('Enable', ENABLE_USER, user, 'is enabled')],
  };

  const load = latest(signal, async (still) => {
    const { users } = await query(USERS, { status: [status.value], search: search.value || undefined }, still);
    const columns = [
      ['User', (user) => noted(user.username, user.email)],
      ['Since', (user) => day(user.createdAt)],
      ['Role', (user) => words(user.role)],
      ['', (user) => (user.id === viewer.id ? 'you' : h('span', { class: 'actions' }, actions[user.status](user)))],
    ];
    replace(list, table('Users', columns, users.nodes, 'Nobody.'));
  });
  for (const control of [status, search]) control.addEventListener('change', () => load().catch(complain));
  await load();
  main.replaceChildren(h('section', {}, bar(heading('Users'), status, search), list));
}
