package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/internal/api/client"
	"github.com/hullmark/hullmark/internal/api/resource"
)

func newUpstream(e *env) *cobra.Command {
	list := lister(e, "list", "List the upstreams and how they have answered since the server started; for site administrators",
		func(ctx context.Context, c *client.Client, _ []string) ([]resource.Upstream, error) {
			return c.Upstreams(ctx)
		},
		[]string{"ECOSYSTEM", "UPSTREAM", "ANSWERED", "FAILED", "WITH"}, func(u resource.Upstream) []string {
			return []string{u.Ecosystem, u.URL, ago(u.Answered), ago(u.Failed), clipped(u.Problem, 80)}
		})
	list.Long = `List the registries that names come from which nobody here has. While one does not answer, what was fetched from it
before is served as it was then; what is missing is refused with code upstream-unavailable.`
	return group("upstream", "The registries behind this one", "ask", list)
}

// ago says how long ago something was.
func ago(at *time.Time) string {
	if at == nil {
		return "never"
	}
	return time.Since(*at).Round(time.Second).String() + " ago"
}
