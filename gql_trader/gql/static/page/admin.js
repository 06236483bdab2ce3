// Administration: letting in who has signed up, roles, and shutting out.

import { mutate, query } from './client.js';
import { APPROVE_USER, CHANGE_ROLE, DISABLE_USER, ENABLE_USER, USERS } from './documents.js';
import { button, choice, complain, day, h, input, say, table, words } from './dom.js';

const STATUSES = [['PENDING', 'waiting for approval'], ['ACTIVE', 'active'], ['DISABLED', 'disabled']];
const ROLES = ['VIEWER', 'TRADER', 'ADMIN'].map((role) => [role, words(role)]);

export async function showAdministration(main, { viewer, signal }) {
  const status = choice(STATUSES, 'PENDING', { 'aria-label': 'Status' });
  const search = input({ type: 'search', placeholder: 'Name or e-mail', 'aria-label': 'Search' });
  const list = h('div', { 'aria-live': 'polite' });

  const act = (text, document, user, done) =>
    button(text, async () => {
      await mutate(document, { id: user.id });
      say(`${user.username} ${done}.`);
      await load();
    });
  const actions = {
    PENDING: (user) => [act('Approve', APPROVE_USER, user, 'may sign in now'), act('Refuse', DISABLE_USER, user, 'is refused')],
    ACTIVE: (user) => [act('Disable', DISABLE_USER, user, 'is disabled')],
    DISABLED: (user) => [act('Enable', ENABLE_USER, user, 'is enabled')],
  };

  function roleOf(user) {
    const select = choice(ROLES, user.role, { 'aria-label': `Role of ${user.username}`, disabled: user.id === viewer.id });
    select.addEventListener('change', async () => {
      try {
        await mutate(CHANGE_ROLE, { input: { id: user.id, role: select.value } });
        say(`${user.username} is ${words(select.value)} now.`);
      } catch (error) {
        select.value = user.role;
        complain(error);
      }
    });
    return select;
  }

  async function load() {
    const { users } = await query(USERS, { status: [status.value], search: search.value || undefined }, signal);
    const columns = [
      ['User', (user) => [user.username, h('small', {}, user.email)]],
      ['Since', (user) => day(user.createdAt)],
      ['Role', roleOf],
      ['', (user) => (user.id === viewer.id ? 'you' : h('span', { class: 'actions' }, actions[user.status](user)))],
    ];
    list.replaceChildren(table('Users', columns, users.nodes, 'Nobody.'));
  }
  status.addEventListener('change', () => load().catch(complain));
  search.addEventListener('change', () => load().catch(complain));
  await load();
  main.replaceChildren(h('section', {}, h('div', { class: 'bar' }, h('h1', { tabindex: -1 }, 'Users'), status, search), list));
}
