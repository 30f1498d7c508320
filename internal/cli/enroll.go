package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/internal/api/client"
	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/cli/output"
	"github.com/hullmark/hullmark/internal/fault"
)

func newEnroll(e *env) *cobra.Command {
	var cluster string
	agent := e.enroller("agent NODE", "Enrol the agent of a node and print its token, once",
		func(name string) resource.NewEnrolment {
			return resource.NewEnrolment{Kind: "agent", Cluster: cluster, Name: name}
		})
	agent.Flags().StringVar(&cluster, "cluster", "", "the cluster that the node is in (default: none)")
	admission := e.enroller("admission CLUSTER", "Enrol the admission controller of a cluster and print its token, once",
		func(name string) resource.NewEnrolment { return resource.NewEnrolment{Kind: "admission", Name: name} })
	cmd := group("enroll", "Agents and admission controllers", "account", agent, admission,
		lister(e, "list", "List who is enrolled",
			func(ctx context.Context, c *client.Client, _ []string) ([]resource.Enrolment, error) {
				return c.Enrolments(ctx)
			},
			[]string{"ID", "MEMBER", "SINCE", "BY", "SEEN"}, func(r resource.Enrolment) []string {
				return []string{r.ID, r.Receiver, day(&r.Created, ""), r.MadeBy, day(r.Seen, "never")}
			}),
		e.sender("revoke MEMBER", "Revoke a fleet member, by its id or name; its open streams end", "revoked", revokeMember))
	cmd.Long = `A fleet member has a token of its own, which lets it watch what it decides from and report what it sees, and
nothing else. Only site administrators enrol.`
	cmd.Example = "  hullmark enroll agent node-7 --cluster prod > token\n  hullmark enroll revoke agent/prod/node-7"
	return cmd
}

// enroller is a command that enrols the one member that it is given the name of.
func (e *env) enroller(use, short string, member func(name string) resource.NewEnrolment) *cobra.Command {
	return asker(e, use, short, func(ctx context.Context, c *client.Client, args []string) (resource.CreatedEnrolment, error) {
		made, err := c.Enrol(ctx, member(args[0]))
		if err == nil {
			e.say("%s is enrolled as %s", made.Enrolment.Receiver, made.Enrolment.ID)
		}
		return made, err
	}, func(p *output.Printer, made resource.CreatedEnrolment) { p.Line("%s", made.Secret) })
}

// revokeMember revokes by id or, because nobody knows those by heart, by name.
func revokeMember(ctx context.Context, c *client.Client, args []string) error {
	err := c.RevokeEnrolment(ctx, args[0])
	if f, ok := errors.AsType[*fault.Error](err); !ok || f.Kind != fault.NotFound {
		return err
	}
	all, listErr := c.Enrolments(ctx)
	if listErr != nil {
		return listErr
	}
	for _, member := range all {
		if member.Receiver == args[0] {
			return c.RevokeEnrolment(ctx, member.ID)
		}
	}
	return err
}
