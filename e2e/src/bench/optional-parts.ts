import type { KubernetesClient } from '@shard-controller/shared/kubernetes';
import { z } from 'zod';
