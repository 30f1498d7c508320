package install

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// resync is how often the configurations are looked at without cause.
const resync = time.Minute

// Keeper says which authorities are to be trusted, and tends them.
type Keeper interface {
	Tend(context.Context) (changed bool, err error)
	Bundle() []byte
}

// Reconciler keeps the two configurations as they have to be.
type Reconciler struct {
	Client  kubernetes.Interface
	Options Options
	Certs   Keeper
	Log     *slog.Logger
}

// Run reconciles at the start, whenever somebody changed or deleted a configuration, and every minute,
// until ctx ends. The certificates are tended on the way.
func (r *Reconciler) Run(ctx context.Context) error {
	changed := make(chan struct{}, 1)
	wake := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	admission := r.Client.AdmissionregistrationV1().RESTClient()
	g, ctx := errgroup.WithContext(ctx)
	watch(ctx, g, admission, "validatingwebhookconfigurations", &admissionregistrationv1.ValidatingWebhookConfiguration{}, wake)
	watch(ctx, g, admission, "mutatingwebhookconfigurations", &admissionregistrationv1.MutatingWebhookConfiguration{}, wake)
	g.Go(func() error {
		r.loop(ctx, changed)
		return nil
	})
	return g.Wait()
}

func (r *Reconciler) loop(ctx context.Context, changed <-chan struct{}) {
	tick := time.NewTicker(resync)
	defer tick.Stop()
	for {
		if err := r.Reconcile(ctx); err != nil && ctx.Err() == nil {
			r.Log.Error("the webhook configurations are not as they should be", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-changed:
		}
	}
}

func watch(ctx context.Context, g *errgroup.Group, client cache.Getter, resource string, of runtime.Object, wake func()) {
	source := cache.NewListWatchFromClient(client, resource, metav1.NamespaceAll, fields.OneTermEqualSelector("metadata.name", Name))
	_, informer := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: source, ObjectType: of,
		Handler: cache.ResourceEventHandlerFuncs{
			UpdateFunc: func(any, any) { wake() }, DeleteFunc: func(any) { wake() },
		},
	})
	g.Go(func() error {
		informer.RunWithContext(ctx)
		return nil
	})
}

// Reconcile tends the certificates and makes both configurations what they have to be.
func (r *Reconciler) Reconcile(ctx context.Context) error {
	if _, err := r.Certs.Tend(ctx); err != nil {
		return err
	}
	bundle := r.Certs.Bundle()
	return errors.Join(r.validating(ctx, r.Options.Validating(bundle)), r.mutating(ctx, r.Options.Mutating(bundle)))
}

func (r *Reconciler) validating(ctx context.Context, want *admissionregistrationv1.ValidatingWebhookConfiguration) error {
	api := r.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	have, err := api.Get(ctx, Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		_, err = api.Create(ctx, want, metav1.CreateOptions{})
		return r.wrote("validating", err)
	case err != nil:
		return err
	case equality.Semantic.DeepEqual(have.Webhooks, want.Webhooks):
		return nil
	}
	have.Webhooks = want.Webhooks
	_, err = api.Update(ctx, have, metav1.UpdateOptions{})
	return r.wrote("validating", err)
}

func (r *Reconciler) mutating(ctx context.Context, want *admissionregistrationv1.MutatingWebhookConfiguration) error {
	api := r.Client.AdmissionregistrationV1().MutatingWebhookConfigurations()
	have, err := api.Get(ctx, Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		_, err = api.Create(ctx, want, metav1.CreateOptions{})
		return r.wrote("mutating", err)
	case err != nil:
		return err
	case equality.Semantic.DeepEqual(have.Webhooks, want.Webhooks):
		return nil
	}
	have.Webhooks = want.Webhooks
	_, err = api.Update(ctx, have, metav1.UpdateOptions{})
	return r.wrote("mutating", err)
}

// wrote passes an error on, but for those that say that another replica was quicker with the same.
func (r *Reconciler) wrote(which string, err error) error {
	if apierrors.IsAlreadyExists(err) || apierrors.IsConflict(err) {
		return nil
	}
	if err == nil {
		r.Log.Info("webhook configuration written", "which", which)
	}
	return err
}
