package cli

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/internal/admission/install"
	"github.com/hullmark/hullmark/internal/app"
)

func newAdmission(e *env) *cobra.Command {
	var c app.AdmissionConfig
	var resources []string
	var verbose bool
	cmd := &cobra.Command{
		Use: "admission", Short: "Decide what a Kubernetes cluster runs", GroupID: "serve",
		Long: `Serve the admission webhooks of a Kubernetes cluster: one decides about every object that would run
images, the other pins the tags of pods to the digests that are decided on.

It decides from a snapshot of the record, which a watch on the server keeps current and a file carries over
restarts; the server may be away. In a cluster it installs its own certificates and webhook configurations
and puts them back when somebody removes them.`,
		Example: `  hullmark admission --server https://hullmark.example.com --token-file token --cluster prod --registry registry.example.com
  hullmark admission --server http://127.0.0.1:4873 --token-file token --cluster test --registry 127.0.0.1:4873 \
    --kubeconfig ~/.kube/config --listen 127.0.0.1:9443 --webhook-url https://127.0.0.1:9443`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.Server = e.server
			if c.Server == "" {
				c.Server = os.Getenv("HULLMARK_URL")
			}
			for _, r := range resources {
				parsed, err := install.ParseResource(r)
				if err != nil {
					return usageError{err}
				}
				c.Install.Resources = append(c.Install.Resources, parsed)
			}
			for flag, value := range map[string]string{"--server": c.Server, "--cluster": c.Cluster, "--token-file": c.TokenFile} {
				if err := required(flag, value); err != nil {
					return err
				}
			}
			c.Logger = slog.New(slog.NewTextHandler(e.Err, &slog.HandlerOptions{Level: levelOf(verbose)}))
			return runAdmission(cmd.Context(), e, c)
		},
	}
	admissionFlags(cmd, &c, &resources)
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "log what happens, to standard error")
	return cmd
}

func admissionFlags(cmd *cobra.Command, c *app.AdmissionConfig, resources *[]string) {
	f := cmd.Flags()
	f.StringVar(&c.Data, "data", filepath.Join(defaultData(), "admission"), "folder for the snapshot and the decisions on their way")
	f.StringVar(&c.Listen, "listen", ":9443", "address for the API server's calls")
	f.StringVar(&c.Cluster, "cluster", "", "this cluster's name in policies, exceptions and the record")
	f.StringVar(&c.TokenFile, "token-file", "", "file with the token of the enrolment (hullmark enroll)")
	f.StringVar(&c.ServerCA, "server-ca", "", "file with authorities to trust the server by")
	f.StringSliceVar(&c.Registries, "registry", nil, "host[:port] under which the cluster knows the server's repositories; repeatable")
	f.StringSliceVar(&c.Controllers, "trusted-controller", nil, "account that is believed about the owners of the pods that it makes; repeatable")
	f.StringVar(&c.Kubeconfig, "kubeconfig", "", "the cluster, when not running inside it")
	f.StringVar(&c.Install.URL, "webhook-url", "", "address for the API server, https://host:port, when not running inside the cluster")
	f.StringVar(&c.Install.Namespace, "namespace", "hullmark", "namespace that the webhook runs in")
	f.StringVar(&c.Install.Service, "service", install.Name, "service in front of the webhook")
	f.BoolVar(&c.Install.Fail, "fail-closed", false, "nothing new starts while no webhook answers (failurePolicy Fail)")
	f.StringSliceVar(&c.Install.ExcludeNamespaces, "exclude-namespace", nil, "namespace that is never asked about, beside kube-system and --namespace; repeatable")
	f.StringSliceVar(resources, "resource", nil, "group/version/resource with a pod template, beside the built-in kinds; repeatable")
	f.BoolVar(&c.NoInstall, "no-install", false, "leave the webhook configurations alone")
	f.StringVar(&c.ClientCA, "client-ca", "", "file with the authorities of callers; others are turned away")
	f.DurationVar(&c.StaleAfter, "stale-after", 0, "age of the record from which answers carry a warning (default 1h)")
}

func levelOf(verbose bool) slog.Level {
	if verbose {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

func runAdmission(ctx context.Context, e *env, c app.AdmissionConfig) error {
	a, err := app.OpenAdmission(ctx, c)
	if err != nil {
		return err
	}
	defer a.Close()
	e.say("admission: %s, cluster %s, following %s", a.URL, c.Cluster, c.Server)
	return a.Run(ctx)
}
