// The token, where the server requires one. It is kept until this tab is closed.

const KEY = "dogvscat-token";

export function tokenHeaders() {
  const token = sessionStorage.getItem(KEY);
  return token ? { Authorization: `Bearer ${token}` } : {};
}

// form: has a label and a field for the token; useToken is called once there is one.
export function listenForToken(form, useToken) {
  const field = form.querySelector("input");
  form.addEventListener("submit", (event) => {
    event.preventDefault(); // the page sends it as a header, not as a form
    sessionStorage.setItem(KEY, field.value.trim());
    field.value = "";
    useToken();
  });
}

export function askForToken(form) {
  const sentence = sessionStorage.getItem(KEY) ? "The server does not know this token." : "This server requires a token.";
  form.querySelector("label").textContent = sentence;
  form.hidden = false;
}
