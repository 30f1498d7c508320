package install

import (
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hullmark/hullmark/internal/fault"
)

// Name is what both webhook configurations are called.
const Name = "hullmark-admission"

// timeoutSeconds is how long the API server waits. An answer takes milliseconds; every webhook's patience
// counts against the 30 s that a request may take in all.
const timeoutSeconds = 3

// Options say how the API server reaches the webhook and what it asks it about.
type Options struct {
	// URL is the webhook's address where it does not run in the cluster, "https://host:port". Empty: the
	// Service of Namespace.
	URL       string
	Namespace string // the webhook's own
	Service   string
	// Fail closes the cluster to new pods while no webhook answers. Default: what cannot be asked about is let in.
	Fail bool
	// ExcludeNamespaces are never asked about, beside kube-system and Namespace.
	ExcludeNamespaces []string
	// Resources are kinds with a pod template beside the built-in ones.
	Resources []Resource
}

// Resource is a custom resource.
type Resource struct{ Group, Version, Resource string }

// unchanged lets the API server skip updates that run nothing new: most of a cluster's traffic, and every
// step of taking something down (a finalizer removed, a template scaled to nothing), which has to work
// also for what would not be let in again. A missing field is no error: an error would be a
// failed call, and with failurePolicy Ignore a permission.
const unchanged = `request.operation != 'UPDATE' || !has(object.spec) || !has(oldObject.spec) || (` +
	`has(object.spec.template) && has(oldObject.spec.template) ? object.spec.template != oldObject.spec.template : ` +
	`has(object.spec.jobTemplate) && has(oldObject.spec.jobTemplate) ? object.spec.jobTemplate != oldObject.spec.jobTemplate : ` +
	`object.spec != oldObject.spec)`

// parts of a configuration that both webhooks share.
type shared struct {
	matches   []admissionregistrationv1.MatchCondition
	namespace *metav1.LabelSelector
	failure   admissionregistrationv1.FailurePolicyType
	// equivalent: a Deployment written as apps/v1beta2 of another API server is still a Deployment.
	equivalent admissionregistrationv1.MatchPolicyType
	// sideEffects: a decision is written to the record, except of a dry run.
	sideEffects admissionregistrationv1.SideEffectClass
	timeout     int32
}

func (o Options) shared() shared {
	s := shared{
		matches:   []admissionregistrationv1.MatchCondition{{Name: "runs-something-new", Expression: unchanged}},
		namespace: o.namespaces(), failure: admissionregistrationv1.Ignore, equivalent: admissionregistrationv1.Equivalent,
		sideEffects: admissionregistrationv1.SideEffectClassNoneOnDryRun, timeout: timeoutSeconds,
	}
	if o.Fail {
		s.failure = admissionregistrationv1.Fail
	}
	return s
}

// namespaces leaves out those that the cluster needs to heal itself: kube-system, without which there is
// no network and no controller, and the webhook's own, or a webhook that is gone could keep itself
// from coming back. By the label that the API server sets itself: nobody else can.
func (o Options) namespaces() *metav1.LabelSelector {
	excluded := []string{metav1.NamespaceSystem}
	if o.Namespace != "" {
		excluded = append(excluded, o.Namespace)
	}
	excluded = append(excluded, o.ExcludeNamespaces...)
	slices.Sort(excluded)
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{
		Key: "kubernetes.io/metadata.name", Operator: metav1.LabelSelectorOpNotIn, Values: slices.Compact(excluded),
	}}}
}

// rule is about objects in namespaces: everything that carries a pod is.
func rule(group, version string, resources ...string) admissionregistrationv1.RuleWithOperations {
	scope := admissionregistrationv1.NamespacedScope
	return admissionregistrationv1.RuleWithOperations{
		Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update},
		Rule:       admissionregistrationv1.Rule{APIGroups: []string{group}, APIVersions: []string{version}, Resources: resources, Scope: &scope},
	}
}

// podRules name the pod's subresources too: an ephemeral container is added through one, and who may
// use it need not be allowed to update pods.
func podRules() []admissionregistrationv1.RuleWithOperations {
	return []admissionregistrationv1.RuleWithOperations{rule("", "v1", "pods", "pods/ephemeralcontainers", "pods/resize")}
}

func (o Options) allRules() []admissionregistrationv1.RuleWithOperations {
	rules := append(podRules(),
		rule("", "v1", "podtemplates", "replicationcontrollers"),
		rule("apps", "v1", "daemonsets", "deployments", "replicasets", "statefulsets"),
		rule("batch", "v1", "cronjobs", "jobs"),
	)
	for _, r := range o.Resources {
		rules = append(rules, rule(r.Group, r.Version, r.Resource))
	}
	return rules
}

func (o Options) client(bundle []byte, path string) admissionregistrationv1.WebhookClientConfig {
	if o.URL != "" {
		url := o.URL + path
		return admissionregistrationv1.WebhookClientConfig{URL: &url, CABundle: bundle}
	}
	port := int32(443)
	return admissionregistrationv1.WebhookClientConfig{
		Service:  &admissionregistrationv1.ServiceReference{Namespace: o.Namespace, Name: o.Service, Path: &path, Port: &port},
		CABundle: bundle,
	}
}

// Validating returns the configuration of the webhook that decides. The object selector is empty on
// purpose: labels of an object are its author's to set.
func (o Options) Validating(bundle []byte) *admissionregistrationv1.ValidatingWebhookConfiguration {
	s := o.shared()
	return &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: Name, Labels: labels()},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name: "decide.admission.hullmark.dev", ClientConfig: o.client(bundle, "/validate"), Rules: o.allRules(),
			FailurePolicy: &s.failure, MatchPolicy: &s.equivalent, NamespaceSelector: s.namespace, ObjectSelector: &metav1.LabelSelector{},
			SideEffects: &s.sideEffects, TimeoutSeconds: &s.timeout, AdmissionReviewVersions: []string{"v1"}, MatchConditions: s.matches,
		}},
	}
}

// Mutating returns the configuration of the webhook that pins. It is asked again when a later webhook
// added a container: sidecars are injected by tag.
func (o Options) Mutating(bundle []byte) *admissionregistrationv1.MutatingWebhookConfiguration {
	s, again := o.shared(), admissionregistrationv1.IfNeededReinvocationPolicy
	return &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: Name, Labels: labels()},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: "pin.admission.hullmark.dev", ClientConfig: o.client(bundle, "/mutate"), Rules: podRules(),
			FailurePolicy: &s.failure, MatchPolicy: &s.equivalent, NamespaceSelector: s.namespace, ObjectSelector: &metav1.LabelSelector{},
			SideEffects: &s.sideEffects, TimeoutSeconds: &s.timeout, AdmissionReviewVersions: []string{"v1"}, MatchConditions: s.matches,
			ReinvocationPolicy: &again,
		}},
	}
}

func labels() map[string]string { return map[string]string{"app.kubernetes.io/name": Name} }

// ParseResource reads "group/version/resource", e.g. "argoproj.io/v1alpha1/rollouts".
func ParseResource(s string) (Resource, error) {
	parts := strings.Split(s, "/")
	if len(parts) != 3 || slices.Contains(parts, "") {
		return Resource{}, fault.New(fault.Invalid, "resource-invalid",
			"%q names no resource; write group/version/resource, e.g. argoproj.io/v1alpha1/rollouts", s)
	}
	return Resource{parts[0], parts[1], parts[2]}, nil
}
