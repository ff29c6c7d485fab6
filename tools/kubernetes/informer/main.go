// Command informer follows one resource with a client-go informer and prints its store, one JSON line per change:
//
//	{"event":"synced"}
//	{"event":"add","key":"ns/name","uid":"...","resourceVersion":"7"}
//	{"event":"store","keys":["ns/name=uid"],"version":"9"}
//
// A line on stdin asks for the store. It is a client that users run, for tests of the watch proxy.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sort"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

type line struct {
	Event           string   `json:"event"`
	Key             string   `json:"key,omitempty"`
	UID             string   `json:"uid,omitempty"`
	ResourceVersion string   `json:"resourceVersion,omitempty"`
	Keys            []string `json:"keys,omitempty"`
	Version         string   `json:"version,omitempty"`
	Error           string   `json:"error,omitempty"`
}

var output sync.Mutex

func say(l line) {
	output.Lock()
	defer output.Unlock()
	text, err := json.Marshal(l)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(text))
}

func main() {
	server := flag.String("server", "", "address of the API, http://host:port")
	group := flag.String("group", "", "API group")
	version := flag.String("version", "v1", "API version")
	resource := flag.String("resource", "pods", "resource, plural")
	namespace := flag.String("namespace", "", "namespace; all when empty")
	selector := flag.String("selector", "", "label selector")
	form := flag.String("form", "protobuf", "protobuf, json, dynamic or metadata")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *server, schema.GroupVersionResource{Group: *group, Version: *version, Resource: *resource}, *namespace, *selector, *form); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, server string, gvr schema.GroupVersionResource, namespace, selector, form string) error {
	config := &rest.Config{Host: server, QPS: -1}
	informer, err := informerFor(config, gvr, namespace, selector, form)
	if err != nil {
		return err
	}
	if err := informer.SetWatchErrorHandler(func(_ *cache.Reflector, err error) {
		say(line{Event: "error", Error: err.Error()})
	}); err != nil {
		return err
	}
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { sayObject("add", object) },
		UpdateFunc: func(_, object any) { sayObject("update", object) },
		DeleteFunc: func(object any) { sayObject("delete", object) },
	}
	if _, err := informer.AddEventHandler(handler); err != nil {
		return err
	}
	go informer.Run(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		return fmt.Errorf("the informer did not sync")
	}
	say(line{Event: "synced"})
	questions := bufio.NewScanner(os.Stdin)
	for questions.Scan() {
		sayStore(informer)
	}
	return nil
}

func informerFor(config *rest.Config, gvr schema.GroupVersionResource, namespace, selector, form string) (cache.SharedIndexInformer, error) {
	tweak := func(options *metav1.ListOptions) { options.LabelSelector = selector }
	switch form {
	case "protobuf", "json":
		if form == "protobuf" {
			config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
			config.ContentType = "application/vnd.kubernetes.protobuf"
		}
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			return nil, err
		}
		factory := informers.NewSharedInformerFactoryWithOptions(client, time.Duration(0), informers.WithNamespace(namespace), informers.WithTweakListOptions(tweak))
		generic, err := factory.ForResource(gvr)
		if err != nil {
			return nil, err
		}
		return generic.Informer(), nil
	case "dynamic":
		client, err := dynamic.NewForConfig(config)
		if err != nil {
			return nil, err
		}
		return dynamicinformer.NewFilteredDynamicInformer(client, gvr, namespace, 0, cache.Indexers{}, tweak).Informer(), nil
	case "metadata":
		client, err := metadata.NewForConfig(config)
		if err != nil {
			return nil, err
		}
		return metadatainformer.NewFilteredMetadataInformer(client, gvr, namespace, 0, cache.Indexers{}, tweak).Informer(), nil
	}
	return nil, fmt.Errorf("form %q is none of protobuf, json, dynamic, metadata", form)
}

func sayObject(event string, object any) {
	if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = tombstone.Obj
	}
	accessor, err := meta.Accessor(object)
	if err != nil {
		say(line{Event: "error", Error: err.Error()})
		return
	}
	key, _ := cache.MetaNamespaceKeyFunc(object.(runtime.Object))
	say(line{Event: event, Key: key, UID: string(accessor.GetUID()), ResourceVersion: accessor.GetResourceVersion()})
}

func sayStore(informer cache.SharedIndexInformer) {
	keys := []string{}
	for _, object := range informer.GetStore().List() {
		accessor, err := meta.Accessor(object)
		if err != nil {
			continue
		}
		key, _ := cache.MetaNamespaceKeyFunc(object)
		keys = append(keys, fmt.Sprintf("%s=%s", key, accessor.GetUID()))
	}
	sort.Strings(keys)
	say(line{Event: "store", Keys: keys, Version: informer.LastSyncResourceVersion()})
}
