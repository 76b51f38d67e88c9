package main

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

// Objects of Kubernetes, as far as ours use the format.
type (
	objectMeta struct {
		Name   string
		Labels map[string]string
	}

	objectHead struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Metadata   objectMeta
	}

	selector struct {
		MatchLabels map[string]string `yaml:"matchLabels"`
	}

	service struct {
		Head objectHead `yaml:",inline"`
		Spec struct {
			ClusterIP                string `yaml:"clusterIP"`
			PublishNotReadyAddresses bool   `yaml:"publishNotReadyAddresses"`
			Selector                 map[string]string
			Ports                    []struct {
				Name, Protocol string
				Port           int
				TargetPort     string `yaml:"targetPort"`
			}
		}
	}

	disruptionBudget struct {
		Head objectHead `yaml:",inline"`
		Spec struct {
			MaxUnavailable int `yaml:"maxUnavailable"`
			Selector       selector
		}
	}

	statefulSet struct {
		Head objectHead `yaml:",inline"`
		Spec struct {
			ServiceName         string `yaml:"serviceName"`
			Replicas            int
			PodManagementPolicy string `yaml:"podManagementPolicy"`
			Selector            selector
			Template            struct {
				Metadata objectMeta
				Spec     podSpec
			}
			VolumeClaimTemplates []struct {
				Metadata objectMeta
				Spec     struct {
					AccessModes []string `yaml:"accessModes"`
					Resources   struct{ Requests map[string]string }
				}
			} `yaml:"volumeClaimTemplates"`
		}
	}

	podSpec struct {
		Grace      int  `yaml:"terminationGracePeriodSeconds"`
		MountToken bool `yaml:"automountServiceAccountToken"`
		Security   struct {
			RunAsNonRoot   bool                  `yaml:"runAsNonRoot"`
			RunAsUser      int                   `yaml:"runAsUser"`
			RunAsGroup     int                   `yaml:"runAsGroup"`
			FSGroup        int                   `yaml:"fsGroup"`
			SeccompProfile struct{ Type string } `yaml:"seccompProfile"`
		} `yaml:"securityContext"`
		Spread []struct {
			MaxSkew           int      `yaml:"maxSkew"`
			TopologyKey       string   `yaml:"topologyKey"`
			WhenUnsatisfiable string   `yaml:"whenUnsatisfiable"`
			LabelSelector     selector `yaml:"labelSelector"`
		} `yaml:"topologySpreadConstraints"`
		Containers []container
		Volumes    []struct {
			Name   string
			Secret struct {
				SecretName  string `yaml:"secretName"`
				DefaultMode int    `yaml:"defaultMode"`
			}
		}
	}

	container struct {
		Name, Image string
		Args        []string
		Env         []struct {
			Name, Value string
			ValueFrom   struct {
				FieldRef struct {
					FieldPath string `yaml:"fieldPath"`
				} `yaml:"fieldRef"`
			} `yaml:"valueFrom"`
		}
		Ports     []containerPort
		Readiness probe `yaml:"readinessProbe"`
		Liveness  probe `yaml:"livenessProbe"`
		Lifecycle struct {
			PreStop struct {
				Exec struct{ Command []string }
			} `yaml:"preStop"`
		}
		Security struct {
			AllowEscalation bool `yaml:"allowPrivilegeEscalation"`
			ReadOnly        bool `yaml:"readOnlyRootFilesystem"`
			Capabilities    struct{ Drop []string }
		} `yaml:"securityContext"`
		Mounts []struct {
			Name      string
			MountPath string `yaml:"mountPath"`
			ReadOnly  bool   `yaml:"readOnly"`
		} `yaml:"volumeMounts"`
	}

	containerPort struct {
		Name, Protocol string
		ContainerPort  int `yaml:"containerPort"`
	}

	probe struct {
		HTTPGet          struct{ Path, Port string } `yaml:"httpGet"`
		PeriodSeconds    int                         `yaml:"periodSeconds"`
		FailureThreshold int                         `yaml:"failureThreshold"`
	}
)

// A manifest is what ours has.
type manifest struct {
	services []service
	budget   disruptionBudget
	set      statefulSet
}

func readManifest(text string) (m manifest, faults []string) {
	for doc := range strings.SplitSeq(text, "\n---\n") {
		var head objectHead
		if err := yaml.Unmarshal([]byte(doc), &head); err != nil {
			faults = append(faults, err.Error())
			continue
		}
		switch head.APIVersion + " " + head.Kind {
		case "v1 Service":
			var s service
			faults = append(faults, strictly(doc, &s)...)
			m.services = append(m.services, s)
		case "policy/v1 PodDisruptionBudget":
			faults = append(faults, strictly(doc, &m.budget)...)
		case "apps/v1 StatefulSet":
			faults = append(faults, strictly(doc, &m.set)...)
		default:
			faults = append(faults, "unknown object "+head.APIVersion+" "+head.Kind)
		}
	}
	return m, faults
}

// kubernetesFaults are what is wrong with a manifest.
func kubernetesFaults(t *testing.T, text string) []string {
	m, faults := readManifest(text)
	pods := m.set.Spec.Template
	if len(pods.Spec.Containers) != 1 {
		return append(faults, "not one container")
	}
	c := pods.Spec.Containers[0]
	selectors := map[string]map[string]string{
		"budget": m.budget.Spec.Selector.MatchLabels, "set": m.set.Spec.Selector.MatchLabels,
	}
	for _, s := range m.services {
		selectors[s.Head.Metadata.Name] = s.Spec.Selector
		for _, p := range s.Spec.Ports {
			if !slices.Contains(c.Ports, containerPort{Name: p.TargetPort, Protocol: p.Protocol, ContainerPort: p.Port}) {
				faults = append(faults, fmt.Sprintf("service %s: no port %s", s.Head.Metadata.Name, p.TargetPort))
			}
		}
		if headless := s.Spec.ClusterIP == "None"; headless != (s.Head.Metadata.Name == m.set.Spec.ServiceName) || headless != s.Spec.PublishNotReadyAddresses {
			faults = append(faults, "service "+s.Head.Metadata.Name+": headless and not-ready addresses are for finding nodes")
		}
	}
	for _, s := range pods.Spec.Spread {
		selectors["spread"] = s.LabelSelector.MatchLabels
	}
	for name, labels := range selectors {
		if len(labels) == 0 || !maps.Equal(labels, pods.Metadata.Labels) {
			faults = append(faults, fmt.Sprintf("%s selects %v, pods are %v", name, labels, pods.Metadata.Labels))
		}
	}
	if m.set.Spec.PodManagementPolicy != "Parallel" || m.budget.Spec.MaxUnavailable != 1 || len(m.services) != 2 {
		faults = append(faults, "pods wait for each other")
	}
	return slices.Concat(faults, containerFaults(t, m, c), volumeFaults(m, c))
}

// containerFaults are what is wrong with the container of a node.
func containerFaults(t *testing.T, m manifest, c container) (faults []string) {
	env := map[string]string{"metadata.name": "flamingo-0", "status.podIP": "10.1.2.3"}
	var places []string
	values := map[string]string{}
	for _, e := range c.Env {
		value := e.Value
		if e.ValueFrom.FieldRef.FieldPath != "" {
			value = env[e.ValueFrom.FieldRef.FieldPath]
		}
		value = strings.NewReplacer(places...).Replace(value)
		places = append(places, "$("+e.Name+")", value)
		values[e.Name] = value
	}
	_, unknown := settingsOf(t, values)
	faults = append(faults, unknown...)
	files, in := deployFiles(t), strings.NewReplacer(places...)
	var args []string
	for _, arg := range c.Args {
		args = append(args, files.Replace(in.Replace(arg)))
	}
	if len(args) == 0 || args[0] != "run" {
		return append(faults, "runs no node")
	}
	if wrong := nodeFaults(t, args[1:], time.Duration(m.set.Spec.Template.Spec.Grace)*time.Second); wrong != nil {
		return append(faults, wrong...)
	}
	r, _ := parse(t, args[1:]...)
	if r.Expect != m.set.Spec.Replicas || !slices.Equal(r.Join, []string{"dns:" + m.set.Spec.ServiceName}) {
		faults = append(faults, "the nodes do not find each other")
	}
	if r.Admin != values["FLAMINGO_ADDR"] {
		faults = append(faults, "commands ask "+values["FLAMINGO_ADDR"])
	}
	ports := map[string]string{"clients": r.Listen[0], "cluster": r.Cluster, "cluster-udp": r.Cluster, "admin": r.Admin}
	for _, p := range c.Ports {
		if !strings.HasSuffix(ports[p.Name], fmt.Sprintf(":%d", p.ContainerPort)) {
			faults = append(faults, fmt.Sprintf("port %s is %d", p.Name, p.ContainerPort))
		}
	}
	for want, p := range map[string]probe{"/readyz": c.Readiness, "/livez": c.Liveness} {
		if p.HTTPGet.Path != want || !isServed(t, p.HTTPGet.Path) || p.HTTPGet.Port != "admin" {
			faults = append(faults, fmt.Sprintf("probe of %s, want %s", p.HTTPGet.Path, want))
		}
	}
	if noticed := time.Duration(c.Readiness.PeriodSeconds*c.Readiness.FailureThreshold) * time.Second; r.DrainWait <= noticed {
		faults = append(faults, fmt.Sprintf("readiness is noticed after %v", noticed))
	}
	hook := c.Lifecycle.PreStop.Exec.Command
	if len(hook) < 2 || hook[0] != "/usr/bin/flamingo" || hook[1] != "drain" {
		return append(faults, "no hook")
	}
	if err := isCommand(t, hook[1:]); err != nil {
		faults = append(faults, "hook: "+err.Error())
	}
	return faults
}

// volumeFaults are files that the node names and does not have.
func volumeFaults(m manifest, c container) (faults []string) {
	there := map[string]bool{}
	for _, v := range m.set.Spec.Template.Spec.Volumes {
		there[v.Name] = v.Secret.DefaultMode == 0o440 // other modes are refused for a key
	}
	for _, v := range m.set.Spec.VolumeClaimTemplates {
		there[v.Metadata.Name] = true
	}
	mounted := map[string]bool{}
	for _, mount := range c.Mounts {
		mounted[mount.MountPath] = there[mount.Name]
	}
	for _, arg := range c.Args {
		name, file, _ := strings.Cut(arg, "=")
		switch name {
		case "--data":
		case "--cluster-key-file", "--token-file":
			file = path.Dir(file)
		default:
			continue
		}
		if !mounted[file] {
			faults = append(faults, "nothing is mounted at "+file)
		}
	}
	return faults
}

func TestKubernetesRunsNodes(t *testing.T) {
	mustFind(t, readPage(t, deployDir+"/kubernetes/flamingo.yaml"), kubernetesFaults, []change{
		{"path: /readyz", "path: /ready", "probe of /ready"},
		{"path: /livez", "path: /readyz", "probe of /readyz"},
		{"--drain-wait=10s", "--drain-pause=10s", "--drain-pause"},
		{"--drain-wait=10s", "--drain-wait=4s", "readiness is noticed"},
		{"--drain-duration=60s", "--drain-duration=61s", "to end"},
		{"GracePeriodSeconds: 100", "GracePeriodSeconds: 30", "to end"},
		{"GracePeriodSeconds", "GracePeriod", "terminationGracePeriod"},
		{"      app.kubernetes.io/name: flamingo\n---", "      app.kubernetes.io/name: other\n---", "selects"},
		{"targetPort: clients", "targetPort: client", "no port client"},
		{"containerPort: 4100", "containerPort: 4101", "port clients is 4101"},
		{"publishNotReadyAddresses: true", "publishNotReadyAddresses: false", "headless"},
		{"serviceName: flamingo-nodes", "serviceName: flamingo", "headless"},
		{"dns:flamingo-nodes", "dns:flamingo", "do not find each other"},
		{"--expect=3", "--expect=5", "do not find each other"},
		{"Parallel", "OrderedReady", "pods wait"},
		{"[/usr/bin/flamingo, drain, --background]", "[/usr/bin/flamingo, drain, --self]", "hook"},
		{"value: $(POD_IP):4180", "value: 127.0.0.1:4180", "commands ask"},
		{"defaultMode: 0440", "defaultMode: 0444", "nothing is mounted at /etc/flamingo"},
		{"mountPath: /var/lib/flamingo", "mountPath: /data", "nothing is mounted at /var/lib/flamingo"},
		{"name: FLAMINGO_ADDR", "name: FLAMINGO_ADDRESS", "FLAMINGO_ADDRESS is no setting"},
	})
}
