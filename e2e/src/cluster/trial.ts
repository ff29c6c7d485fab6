import { startCluster } from './index.ts';
const t0 = performance.now(); const say = (...a: unknown[]) => console.log(((performance.now()-t0)/1000).toFixed(2), ...a);
const c = await startCluster();
say('up');
const n = await c.addNode('process-node-1', { images: { 'test-http': { entrypoint: [process.execPath, '-e', "require('http').createServer((q,r)=>{r.end(JSON.stringify(process.env))}).listen(8080,'0.0.0.0');console.log('up',process.env)"] } } });
say('node');
const sts = { apiVersion: 'apps/v1', kind: 'StatefulSet', metadata: { name: 'web', namespace: 'default' }, spec: { serviceName: 'web', replicas: 2, podManagementPolicy: 'Parallel', selector: { matchLabels: { app: 'web' } }, template: { metadata: { labels: { app: 'web' } }, spec: { terminationGracePeriodSeconds: 3, containers: [ { name: 'web', image: 'test-http:1', env: [ {name:'POD_IP', valueFrom: {fieldRef: {fieldPath: 'status.podIP'}}}, {name: 'X', value: '$(POD_IP):1'}], ports: [{ name: 'http', containerPort: 8080 }], readinessProbe: { httpGet: { port: 'http' }, periodSeconds: 1 } } ] } } } };
await c.admin.create('/apis/apps/v1/namespaces/default/statefulsets', sts);
for (;;) {
  const l = await c.admin.list<any>('/api/v1/namespaces/default/pods');
  const ready = l.items.filter((p: any) => p.status.conditions?.some((x: any) => x.type==='Ready' && x.status==='True'));
  if (ready.length === 2) { say('ready', JSON.stringify(ready[0].status)); break; }
  if (performance.now()-t0 > 20000) { say(JSON.stringify(l.items.map((p:any)=>p.status), null, 1)); break; }
  await new Promise(r=>setTimeout(r,50));
}
say(n.pods.map(p=>p.metadata.name), n.processesOf('web-0'));
const r = await fetch(`http://${n.podIp('web-0')}:8080/`); say(await r.text());
await c.admin.patch('/apis/apps/v1/namespaces/default/statefulsets/web', { spec: { replicas: 1 } });
for (;;) { const l = await c.admin.list<any>('/api/v1/namespaces/default/pods'); if (l.items.length === 1) break; await new Promise(r=>setTimeout(r,50)); }
say('scaled');
await c.restartApiServer(); say('restarted');
await c.stop(); say('stopped');
