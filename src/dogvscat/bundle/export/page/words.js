// Every sentence that depends on the network or its answer.

export function percent(share) {
  return `${(100 * share).toFixed(1)}\u00a0%`;
}

export function titleOf(about) {
  const [first, second] = about.class_names;
  return `${capitalized(first)} or ${second}?`;
}

// The answer's heading and, if it is unsure, the reason.
export function answerInWords(answer, about) {
  const [first, second] = about.class_names;
  if (!answer.unsure) return { verdict: capitalized(answer.label), why: "" };
  if (answer.unsure === "neither") {
    const limit = percent(about.decision.neither_limit);
    const why = `It seems to show neither ${first} nor ${second} (${percent(answer.neither)}; above ${limit} the answer is unsure).`;
    return { verdict: "Unsure", why };
  }
  const { unsure_low: low, unsure_high: high } = about.decision;
  const why = `Too close to call: between ${percent(low)} and ${percent(high)} of ${second} the answer is unsure.`;
  return { verdict: "Unsure", why };
}

export function aboutInWords(about) {
  const [first, second] = about.class_names;
  const size = about.input.shape[1];
  const accuracy = about.validation_accuracy;
  return [
    `A small network looks at your picture, squashed to ${size} x ${size} pixels, and gives the probability of ${second}. ` +
      `It was trained from scratch to tell ${first} from ${second} in photographs.`,
    "It came to your browser together with this page and runs there. No picture and no answer is sent anywhere; once " +
      "the page is loaded you can go offline.",
    ...(accuracy
      ? [
          `Of ${accuracy.n.toLocaleString("en")} photographs it had not learned from it was right about ` +
            `${percent(accuracy.value)} (95\u00a0% interval ${percent(accuracy.low)} to ${percent(accuracy.high)}).`,
        ]
      : []),
    `It knows ${first} and ${second} only. Where it is not sure, or seems to see neither, it says so instead of guessing. ` +
      "Do not use it where a wrong answer harms somebody.",
    `Made with dogvscat ${about.dogvscat} and ONNX Runtime Web (Microsoft, MIT License).`,
  ];
}

function capitalized(word) {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
