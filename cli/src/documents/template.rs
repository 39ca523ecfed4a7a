//! Helm templates, which become manifests when a chart is rendered.

/// What begins an action of a template that a chart has: a value, a call, or a
/// part of its control flow. Braces alone are found in bodies and log formats, too.
const BEGINNINGS: [&str; 14] = [
    ".", "$", "/*", "block", "define", "else", "end", "if", "include", "range", "required",
    "template", "toYaml", "with",
];

/// What to do with them.
pub(super) const ADVICE: &str = "render it first (helm template CHART)";

/// Whether a text is a Helm template.
pub(super) fn is_template(text: &str) -> bool {
    text.split("{{").skip(1).any(|action| {
        let action = action.strip_prefix('-').unwrap_or(action).trim_start();
        let is_closed = action.contains("}}");
        is_closed && BEGINNINGS.iter().any(|it| begins_with(action, it))
    })
}

/// Whether an action begins with a word, and not with one that only begins like it.
fn begins_with(action: &str, word: &str) -> bool {
    let is_name = |it: char| it.is_ascii_alphanumeric() || it == '_';
    let rest = action.strip_prefix(word);
    rest.is_some_and(|rest| !(word.ends_with(is_name) && rest.starts_with(is_name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_of_charts_are_known() {
        for text in [
            "name: {{ .Values.name }}",
            "{{- if .Values.enabled }}\n",
            "{{ include \"chart.labels\" . | nindent 4 }}",
            "a: {{$x}}",
            "{{- /* a comment */ -}}",
            "{{end}}",
        ] {
            assert!(is_template(text), "{text}");
        }
    }

    #[test]
    fn other_braces_are_none() {
        for text in [
            "a: {b: {c: 1}}",
            "inline: \"{{ending}}\"",
            "{{ .Values",
            "{{name}}",
        ] {
            assert!(!is_template(text), "{text}");
        }
    }
}
