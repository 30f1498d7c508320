package install_test

import (
	"slices"
	"testing"

	"github.com/hullmark/hullmark/internal/admission/install"
	"github.com/hullmark/hullmark/internal/fault"
)

func TestTheClusterCanHealItselfAndNobodyElseIsExempt(t *testing.T) {
	t.Parallel()
	o := install.Options{Namespace: "hullmark", Service: "s", ExcludeNamespaces: []string{"storage", "kube-system"}}
	w := o.Validating([]byte("ca")).Webhooks[0]
	r := w.NamespaceSelector.MatchExpressions[0]
	if r.Key != "kubernetes.io/metadata.name" || r.Operator != "NotIn" || !slices.Equal(r.Values, []string{"hullmark", "kube-system", "storage"}) {
		t.Errorf("%+v", r)
	}
	if len(w.ObjectSelector.MatchLabels)+len(w.ObjectSelector.MatchExpressions) != 0 {
		t.Error("a label exempts")
	}
	if *w.FailurePolicy != "Ignore" || *w.TimeoutSeconds != 3 || w.ClientConfig.Service.Name != "s" || string(w.ClientConfig.CABundle) != "ca" {
		t.Errorf("%+v", w)
	}
}

func TestPodsAreAskedAboutWithTheirSubresourcesByBoth(t *testing.T) {
	t.Parallel()
	o := install.Options{URL: "https://127.0.0.1:9443", Fail: true, Resources: []install.Resource{{Group: "argoproj.io", Version: "v1alpha1", Resource: "rollouts"}}}
	v, m := o.Validating(nil).Webhooks[0], o.Mutating(nil).Webhooks[0]
	for _, rules := range []any{v.Rules[0].Resources, m.Rules[0].Resources} {
		if !slices.Equal(rules.([]string), []string{"pods", "pods/ephemeralcontainers", "pods/resize"}) {
			t.Errorf("%v", rules)
		}
	}
	if len(m.Rules) != 1 || *m.ReinvocationPolicy != "IfNeeded" {
		t.Error("more than pods are pinned, or only once")
	}
	if last := v.Rules[len(v.Rules)-1]; last.Resources[0] != "rollouts" || last.APIGroups[0] != "argoproj.io" {
		t.Errorf("%+v", last)
	}
	if *v.FailurePolicy != "Fail" || *v.ClientConfig.URL != "https://127.0.0.1:9443/validate" || *m.ClientConfig.URL != "https://127.0.0.1:9443/mutate" {
		t.Errorf("%+v", v.ClientConfig)
	}
}

func TestAResourceIsGroupVersionAndName(t *testing.T) {
	t.Parallel()
	if r, err := install.ParseResource("argoproj.io/v1alpha1/rollouts"); err != nil || r != (install.Resource{Group: "argoproj.io", Version: "v1alpha1", Resource: "rollouts"}) {
		t.Errorf("%v, %v", r, err)
	}
	for _, s := range []string{"", "rollouts", "a/b", "a//c", "a/b/c/d"} {
		if _, err := install.ParseResource(s); err == nil || fault.As(err).Code != "resource-invalid" {
			t.Errorf("%q: %v", s, err)
		}
	}
}
