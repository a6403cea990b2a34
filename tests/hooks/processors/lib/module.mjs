import local from './local.js';
import { name } from './local.js';
export const named = `${local.name} ${name}`;
