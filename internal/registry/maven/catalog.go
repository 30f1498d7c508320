package maven

import (
	"encoding/xml"
	"net/http"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
)

// archetype is a template for new projects.
// Source: maven-archetype, archetype-catalog.mdo 1.1.1.
type archetype struct {
	Group       string `xml:"groupId"`
	Artifact    string `xml:"artifactId"`
	Version     string `xml:"version"`
	Description string `xml:"description,omitempty"`
}

// serveCatalog answers GET /archetype-catalog.xml with the archetypes that the caller may read.
func (r *Registry) serveCatalog(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	ctx := req.Context()
	names, err := r.core.NamesSeen(ctx, actor, purl.Maven, "", maxNames)
	if err != nil {
		return err
	}
	var catalog struct {
		XMLName    xml.Name    `xml:"archetype-catalog"`
		Archetypes []archetype `xml:"archetypes>archetype"`
	}
	for _, name := range names {
		newest, err := r.newest(ctx, name, "maven-archetype")
		if err != nil {
			return err
		}
		if newest == nil {
			continue
		}
		group, id, _ := strings.Cut(name, "/")
		catalog.Archetypes = append(catalog.Archetypes, archetype{group, id, baseVersion(newest.version), newest.Description})
	}
	body, err := xml.MarshalIndent(catalog, "", "  ")
	if err != nil {
		return err
	}
	servePage(w, req, targetOf(req), registry.NewPage(xmlType, append([]byte(xml.Header), body...), time.Time{}, nil))
	return nil
}
