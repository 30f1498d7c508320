// Joins forms that need a passkey to the browser's authenticator: asks the server what to ask it, puts the
// answer into the form and sends that. A form says by data-passkey whether to "create" or to "get".
'use strict';

async function ask(form) {
  const answer = await fetch(form.dataset.options, { method: 'POST', headers: { Accept: 'application/json' } });
  const { options, state, problem } = await answer.json();
  if (problem) throw new Error(problem);
  const credential = form.dataset.passkey === 'create'
    ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options.publicKey) })
    : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options.publicKey) });
  form.elements.state.value = state;
  form.elements.response.value = JSON.stringify(credential.toJSON());
  form.submit(); // does not come back to the listener below
}

function words(error) {
  switch (error.name) {
    case 'NotAllowedError': return 'The browser was not given a passkey in time, or there is none for this site.';
    case 'InvalidStateError': return 'This device already has a passkey for this account.';
    case 'SecurityError': return 'The browser does not allow passkeys at this address; open the page under the server’s name, by https or on localhost.';
    default: return error.message;
  }
}

for (const form of document.querySelectorAll('form[data-passkey]')) {
  const button = form.querySelector('button');
  const problem = form.querySelector('[role=alert]');
  const tell = (text) => { problem.textContent = text; problem.hidden = false; };
  if (!window.PublicKeyCredential?.parseRequestOptionsFromJSON) {
    button.disabled = true;
    tell('This browser cannot use passkeys here. They need https or localhost.');
    continue;
  }
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    problem.hidden = true;
    button.disabled = true;
    ask(form).catch((error) => tell(words(error))).finally(() => { button.disabled = false; });
  });
}
