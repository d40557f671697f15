// The sentences that depend on the network or its answer.

export function formatPercent(fraction) {
  return `${(100 * fraction).toFixed(1)}%`;
}

export function pageTitle(about) {
  const [negative, positive] = about.class_names;
  return `${capitalize(negative)} or ${positive}?`;
}

// Returns { verdict, reason }: the heading of the answer and, if it is unsure, why.
export function describeAnswer(answer, about) {
  const [negative, positive] = about.class_names;
  if (!answer.reason) return { verdict: capitalize(answer.label), reason: "" };
  if (answer.reason === "at_chance") {
    const reason = `This network is no better than guessing, so it answers neither ${negative} nor ${positive}.`;
    return { verdict: "Unsure", reason };
  }
  if (answer.reason === "neither") {
    const limit = formatPercent(about.decision.neither_limit);
    const probability = formatPercent(answer.neither);
    const reason =
      `The photo seems to show neither ${negative} nor ${positive} ` +
      `(probability of neither: ${probability}; above ${limit} the answer is unsure).`;
    return { verdict: "Unsure", reason };
  }
  const { unsure_low: low, unsure_high: high } = about.decision;
  const band = `between ${formatPercent(low)} and ${formatPercent(high)}`;
  const reason = `Too close to call: with a probability of ${positive} ${band} the answer is unsure.`;
  return { verdict: "Unsure", reason };
}

// Returns the paragraphs of "How it works".
export function describeModel(about) {
  const [negative, positive] = about.class_names;
  const size = about.input.shape[1];
  const accuracy = about.validation_accuracy; // absent if no photos were held out
  const accuracySentences = [];
  if (accuracy) {
    const interval = `95% interval ${formatPercent(accuracy.low)} to ${formatPercent(accuracy.high)}`;
    const photos = `${accuracy.n.toLocaleString("en")} photos that it was not trained on`;
    accuracySentences.push(`Its accuracy on ${photos} is ${formatPercent(accuracy.value)} (${interval}).`);
  }
  return [
    `Your photo is resized to ${size} x ${size} pixels. A small neural network computes the probability that the ` +
      `photo shows ${positive}. The network was trained from scratch to distinguish ${negative} and ${positive}.`,
    "Your browser loaded the network together with this page and runs it. No photo and no answer is sent anywhere; " +
      "once the page is loaded you can go offline.",
    ...accuracySentences,
    `The network only knows ${negative} and ${positive}. If it is not sure, or the photo seems to show neither, it ` +
      "says so instead of guessing. Do not use it where a wrong answer can harm somebody.",
    `Made with dogvscat ${about.dogvscat} and ONNX Runtime Web (Microsoft, MIT License).`,
  ];
}

export function capitalize(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

// The text with control characters and marks of the direction of text as escapes, so that a name reads as it is.
export function printable(text) {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (char) => `\\u{${char.codePointAt(0).toString(16)}}`);
}
