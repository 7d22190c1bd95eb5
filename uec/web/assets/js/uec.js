// Starts GOV.UK Frontend's components and the few habits of our own pages. No inline script anywhere: the CSP forbids it.
import { initAll, Button, ErrorSummary, NotificationBanner } from "./govuk-frontend.min.js";

document.body.classList.add("js-enabled", "govuk-frontend-supported");

const menu = document.body.dataset;
initAll({
  passwordInput: {
    i18n: {
      showPassword: menu.showPassword,
      hidePassword: menu.hidePassword,
      showPasswordAriaLabel: menu.showPasswordLabel,
      hidePasswordAriaLabel: menu.hidePasswordLabel,
      passwordShownAnnouncement: menu.passwordShown,
      passwordHiddenAnnouncement: menu.passwordHidden,
    },
  },
});

// Parts that htmx brings in later are started as well.
document.body.addEventListener("htmx:load", (event) => {
  const part = event.detail.elt;
  if (part === document.body) return;
  part.querySelectorAll('[data-module="govuk-button"]').forEach((element) => new Button(element));
  part.querySelectorAll('[data-module="govuk-error-summary"]').forEach((element) => new ErrorSummary(element));
  part.querySelectorAll('[data-module="govuk-notification-banner"]').forEach((element) => new NotificationBanner(element));
});

// A poll leaves alone what it would bring again word for word: neither the focus nor a press that began there is lost.
document.addEventListener("htmx:oobBeforeSwap", (event) => {
  const { target, fragment } = event.detail;
  if ("swapChanged" in target.dataset && target.textContent === fragment.textContent) event.detail.shouldSwap = false;
});

// Printing needs a script, so its buttons show themselves only here; those that htmx brings in later work as well.
document.querySelectorAll("[data-print]").forEach((button) => {
  button.hidden = false;
});
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-print]")) window.print();
});

// A choice that only narrows a list is applied at once; without scripts the form's own button does it.
document.querySelectorAll("select[data-submit-on-change]").forEach((select) => {
  select.addEventListener("change", () => select.form.requestSubmit());
});
