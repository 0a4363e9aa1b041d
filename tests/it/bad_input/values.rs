//! Mistakes in values files. `config` has the whole table; these go through the mount, the watcher and the status.

/// A mistake: what of a good file is replaced by what.
pub(super) struct Mistake {
    pub(super) name: &'static str,
    from: &'static str,
    to: &'static str,
}

impl Mistake {
    /// Its model, which serves the good version when the mistake is made.
    pub(super) fn model(&self) -> String {
        format!("values-{}", self.name.replace(' ', "-"))
    }

    /// The bad file, from the good one.
    pub(super) fn text(&self, good: &str) -> String {
        assert!(good.contains(self.from), "{}: {good}", self.name);
        good.replacen(self.from, self.to, 1)
    }
}

pub(super) fn mistakes() -> Vec<Mistake> {
    let mistake = |(name, from, to)| Mistake { name, from, to };
    [
        ("not yaml", "schemaVersion: v1alpha1", "schemaVersion: [v1alpha1"),
        ("a tab", "  version:", "\tversion:"),
        ("schema of the future", "v1alpha1", "v2"),
        ("mistyped key", "storageUri", "storageURI"),
        ("mistyped map", "signing:", "singing:"),
        ("key given twice", "  version: \"v1.0.0\"\n", "  version: \"v1.0.0\"\n  version: \"v1.1.0\"\n"),
        ("version is a number", "\"v1.0.0\"", "2.10"),
        ("version is a path", "\"v1.0.0\"", "../v1.0.0"),
        ("unknown scheme", "file://", "hdfs://"),
        ("relative path", "file:///", "file://"),
        ("policy", "policy: enforce", "policy: enforced"),
        ("method not built", "policy: enforce,", "policy: enforce, method: sigstore,"),
        ("format not built", "  signing:", "  format: xgboost\n  signing:"),
        ("weight over 100", "model:\n", "strategy: {canary: {steps: [{setWeight: 120}]}}\nmodel:\n"),
        (
            "analysis of nothing",
            "model:\n",
            "strategy: {canary: {steps: [{analysis: {templates: [{templateName: x}]}}]}}\nmodel:\n",
        ),
        ("no batch", "model:\n", "serving: {maxBatchSize: 0}\nmodel:\n"),
        ("duration in words", "model:\n", "serving: {timeoutDefault: 5 minutes}\nmodel:\n"),
    ]
    .map(mistake)
    .into()
}
