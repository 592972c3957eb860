import{u as r}from"./index-kiBtAo-4.js";function n({name:d,children:t}){return r("div",{children:[r("dt",{children:d}),r("dd",{children:t})]})}export{n as F};
