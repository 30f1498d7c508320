package admission_test

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hullmark/hullmark/internal/admission/admissiontest"
	"github.com/hullmark/hullmark/internal/admission/install"
)

func deployment(name string, p *corev1.Pod) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: p.Spec},
		},
	}
}

func TestARealAPIServerAsksAboutEverythingThatRunsImages(t *testing.T) {
	t.Parallel()
	w := start(t)
	t.Run("a Deployment with recalled content is denied, and the denial names it", func(t *testing.T) {
		_, err := w.client.AppsV1().Deployments("default").Create(t.Context(), deployment("bad", pod("", registry+"/acme/evil:1")), metav1.CreateOptions{})
		denied(t, err, "acme/evil:1", "no-recalled-content", "steals credentials", "dora", "hullmark exception request", "hullmark explain")
	})
	t.Run("a tag is pinned in a pod, and stays as it was written in a Deployment", func(t *testing.T) {
		d, err := w.client.AppsV1().Deployments("default").Create(t.Context(), deployment("good", pod("", registry+"/acme/shop:1")), metav1.CreateOptions{})
		if err != nil || d.Spec.Template.Spec.Containers[0].Image != registry+"/acme/shop:1" {
			t.Fatalf("%v, %v", d.Spec.Template.Spec.Containers, err)
		}
		p, err := w.create(t, pod("good", registry+"/acme/shop:1"), metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if want := registry + "/acme/shop:1@" + admissiontest.Digest("acme/shop:1"); p.Spec.Containers[0].Image != want {
			t.Errorf("image %s, want %s", p.Spec.Containers[0].Image, want)
		}
		if p.Annotations["admission.hullmark.dev/pinned"] != "app" {
			t.Errorf("annotations %v", p.Annotations)
		}
	})
	t.Run("an image volume is looked at, and pinned", func(t *testing.T) {
		volume := func(ref string) *corev1.Pod {
			p := pod("volume", registry+"/acme/shop:1")
			p.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: ref}}}}
			return p
		}
		_, err := w.create(t, volume(registry+"/acme/evil:1"), metav1.CreateOptions{})
		denied(t, err, "acme/evil:1")
		p, err := w.create(t, volume(registry+"/acme/data:1"), metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Spec.Volumes[0].Image.Reference; !strings.HasSuffix(got, "@"+admissiontest.Digest("acme/data:1")) {
			t.Errorf("the volume's image is %s", got)
		}
	})
	t.Run("an ephemeral container is looked at, and pinned", func(t *testing.T) { w.ephemeral(t) })
	t.Run("an image that is patched in later is looked at", func(t *testing.T) {
		if _, err := w.create(t, pod("patched", registry+"/acme/shop:1"), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		patch := `{"spec":{"containers":[{"name":"app","image":"` + registry + `/acme/evil:1"}]}}`
		_, err := w.client.CoreV1().Pods("default").Patch(t.Context(), "patched", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{})
		denied(t, err, "acme/evil:1")
	})
	t.Run("what the record does not know brings a warning", func(t *testing.T) {
		w.warnings.take()
		if _, err := w.create(t, pod("stranger", "quay.io/who/knows:2"), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if got := w.warnings.take(); !strings.Contains(got, "quay.io/who/knows:2") || !strings.Contains(got, "has-record") {
			t.Errorf("warnings: %q", got)
		}
	})
	t.Run("decisions reach the server, dry runs do not", func(t *testing.T) {
		if _, err := w.create(t, pod("dry", registry+"/acme/shop:1"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.create(t, pod("last", registry+"/acme/shop:1"), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		seen := map[string]string{}
		eventually(t, "the decision about the last pod", func() bool {
			for _, d := range w.fleet.Decisions() {
				if d.Workload != nil {
					seen[d.Workload.Kind+"/"+d.Workload.Name] = d.Verdict
				}
			}
			return seen["Pod/last"] == "allow"
		})
		if _, dry := seen["Pod/dry"]; dry || seen["Deployment/bad"] != "deny" {
			t.Errorf("decisions: %v", seen)
		}
	})
}

func (w *world) ephemeral(t *testing.T) {
	p, err := w.create(t, pod("debugged", registry+"/acme/shop:1"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	add := func(image string) (*corev1.Pod, error) {
		changed := p.DeepCopy()
		changed.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: image}}}
		return w.client.CoreV1().Pods("default").UpdateEphemeralContainers(t.Context(), "debugged", changed, metav1.UpdateOptions{})
	}
	_, err = add(registry + "/acme/evil:1")
	denied(t, err, "acme/evil:1")
	got, err := add(registry + "/acme/tools:1")
	if err != nil {
		t.Fatal(err)
	}
	if image := got.Spec.EphemeralContainers[0].Image; !strings.HasSuffix(image, "@"+admissiontest.Digest("acme/tools:1")) {
		t.Errorf("the ephemeral container's image is %s", image)
	}
}

func TestAConfigurationThatIsDeletedOrChangedComesBack(t *testing.T) {
	t.Parallel()
	w := start(t)
	api := w.client.AdmissionregistrationV1()
	if err := api.ValidatingWebhookConfigurations().Delete(t.Context(), install.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the deleted configuration", func() bool {
		_, err := api.ValidatingWebhookConfigurations().Get(t.Context(), install.Name, metav1.GetOptions{})
		return err == nil
	})
	patch := `[{"op":"replace","path":"/webhooks/0/namespaceSelector","value":{"matchLabels":{"never":"true"}}}]`
	if _, err := api.MutatingWebhookConfigurations().Patch(t.Context(), install.Name, types.JSONPatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the selector as it was", func() bool {
		m, err := api.MutatingWebhookConfigurations().Get(t.Context(), install.Name, metav1.GetOptions{})
		return err == nil && len(m.Webhooks[0].NamespaceSelector.MatchLabels) == 0
	})
	w.ready(t)
}

func TestTheWebhookDecidesWhileItsServerIsAwayAlsoAfterARestart(t *testing.T) {
	t.Parallel()
	w := start(t)
	eventually(t, "a snapshot on the disk", func() bool { return w.admit.SnapshotWritten() })
	w.stop()
	_, err := w.create(t, pod("evil", registry+"/acme/evil:1"), metav1.CreateOptions{})
	denied(t, err, "steals credentials")
	w.restart(t)
	_, err = w.create(t, pod("evil", registry+"/acme/evil:1"), metav1.CreateOptions{})
	denied(t, err, "steals credentials")
	if p, err := w.create(t, pod("shop", registry+"/acme/shop:1"), metav1.CreateOptions{}); err != nil || !strings.Contains(p.Spec.Containers[0].Image, "@sha256:") {
		t.Errorf("%v, %v", p.Spec.Containers, err)
	}
}
