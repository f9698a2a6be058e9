"use strict";
// Shows openapi.json: every operation with what it takes and what it answers. Text is only ever set as
// text, so nothing in the description can become markup.

const METHODS = ["get", "post", "put", "patch", "delete"];

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function code(value) {
  return element("pre", JSON.stringify(value, null, 2));
}

function rows(parameters) {
  const table = element("table");
  for (const parameter of parameters) {
    const row = table.appendChild(element("tr"));
    const name = parameter.required ? parameter.name : `${parameter.name}?`;
    row.append(element("td", name), element("td", parameter.in), element("td", parameter.description || ""));
  }
  return table;
}

function example(path, method, operation) {
  const lines = [`curl -X ${method.toUpperCase()} "$MUSTER_URL${path}" \\`, '  -H "Authorization: Bearer $MUSTER_API_KEY"'];
  const body = operation.requestBody && operation.requestBody.content["application/json"].example;
  if (body !== undefined) {
    lines[1] += " \\";
    lines.push('  -H "Content-Type: application/json" \\', `  -d '${JSON.stringify(body)}'`);
  }
  return element("pre", lines.join("\n"));
}

function resolved(description, schema) {
  const reference = schema && schema.$ref;
  if (!reference) return schema;
  return reference.slice(2).split("/").reduce((at, part) => at[part], description);
}

function shown(description, path, method, operation) {
  const details = element("details");
  details.id = operation.operationId || `${method}${path}`;
  const summary = details.appendChild(element("summary"));
  summary.append(element("b", method.toUpperCase(), method), element("code", path), element("span", operation.summary));
  details.append(element("p", operation.description || ""));
  if (operation.parameters && operation.parameters.length > 0) details.append(rows(operation.parameters));
  details.append(element("h4", "Example"), example(path, method, operation));
  const body = operation.requestBody && operation.requestBody.content["application/json"].schema;
  if (body) details.append(element("h4", "Body"), code(resolved(description, body)));
  for (const [status, response] of Object.entries(operation.responses)) {
    if (status >= "300") continue;
    details.append(element("h4", `Answer ${status}`));
    for (const content of Object.values(response.content || {})) {
      details.append(code(content.example));
      const schema = element("details");
      schema.append(element("summary", "Schema"), code(resolved(description, content.schema)));
      details.append(schema);
    }
  }
  return details;
}

async function main() {
  const description = await (await fetch("openapi.json")).json();
  const areas = new Map();
  for (const [path, operations] of Object.entries(description.paths)) {
    for (const method of METHODS) {
      const operation = operations[method];
      if (!operation) continue;
      const area = operation.tags[0];
      if (!areas.has(area)) areas.set(area, []);
      areas.get(area).push(shown(description, path, method, operation));
    }
  }
  const list = document.getElementById("areas");
  const place = document.getElementById("operations");
  for (const { name } of description.tags) {
    const operations = areas.get(name) || [];
    const link = list.appendChild(element("a", name));
    link.href = `#${encodeURIComponent(name)}`;
    const section = place.appendChild(element("section"));
    const heading = section.appendChild(element("h2", name));
    heading.id = name;
    section.append(...operations);
  }
  document.getElementById("filter").addEventListener("input", (event) => {
    const wanted = event.target.value.toLowerCase();
    for (const operation of document.querySelectorAll("section > details")) {
      operation.hidden = !operation.firstChild.textContent.toLowerCase().includes(wanted);
    }
  });
}

main();
