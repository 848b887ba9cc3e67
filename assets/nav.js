// The bar on top of every page: where one is, who is signed in, and the way out.
const ROLES = ["annotator", "adjudicator", "admin"];

/** Fill `element` with links to those of the pages ({ path, name, least }) that the signed-in person may open. */
export async function mount(element, pages) {
  const answer = await fetch("/api/me");
  if (!answer.ok) { location.assign("/login"); return; }
  const { name, role } = await answer.json();
  const here = location.pathname.replace(/(.)\/$/, "$1");
  const nav = document.createElement("nav");
  nav.className = "ew-nav";
  nav.setAttribute("aria-label", "Pages");
  nav.append(brand());
  const open = pages.filter((page) => ROLES.indexOf(role) >= ROLES.indexOf(page.least));
  nav.append(...open.map((page) => link(page, page.path === here)));
  nav.append(wayOut(name));
  element.replaceChildren(nav);
}

function brand() {
  const image = document.createElement("img");
  image.src = "/eyewitness/icon.svg";
  image.alt = "Eyewitness";
  return image;
}

function link(page, current) {
  const anchor = document.createElement("a");
  anchor.href = page.path;
  anchor.textContent = page.name;
  if (current) anchor.setAttribute("aria-current", "page");
  return anchor;
}

function wayOut(name) {
  const form = document.createElement("form");
  form.method = "post";
  form.action = "/logout";
  const who = document.createElement("span");
  who.textContent = name;
  const button = document.createElement("button");
  button.textContent = "Sign out";
  form.append(who, button);
  return form;
}
