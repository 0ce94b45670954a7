// Near miss `multihead_module` of `sdpa_causal`: nn.MultiheadAttention stays one call of the graph.
// Left alone: opaque_call
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.hyper.attention
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,63,40],f32>) -> !torch.vtensor<[63,2,40],f32> {
    %int0 = torch.constant.int 0
    %int1 = torch.constant.int 1
    %0 = torch.aten.transpose.int %arg0, %int0, %int1 : !torch.vtensor<[2,63,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[63,2,40],f32>
    %1 = torch.aten.transpose.int %arg0, %int0, %int1 : !torch.vtensor<[2,63,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[63,2,40],f32>
    %2 = torch.aten.transpose.int %arg0, %int0, %int1 : !torch.vtensor<[2,63,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[63,2,40],f32>
    %int40 = torch.constant.int 40
    %none = torch.constant.none
    %cpu = torch.constant.device "cpu"
    %false = torch.constant.bool false
    %3 = torch.aten.eye %int40, %none, %none, %cpu, %false : !torch.int, !torch.none, !torch.none, !torch.Device, !torch.bool -> !torch.vtensor<[40,40],f32>
    %int3 = torch.constant.int 3
    %4 = torch.prim.ListConstruct %int3, %int1 : (!torch.int, !torch.int) -> !torch.list<int>
    %5 = torch.aten.repeat %3, %4 : !torch.vtensor<[40,40],f32>, !torch.list<int> -> !torch.vtensor<[120,40],f32>
    %6 = torch.aten.eye %int40, %none, %none, %cpu, %false : !torch.int, !torch.none, !torch.none, !torch.Device, !torch.bool -> !torch.vtensor<[40,40],f32>
    %7 = torch.aten.chunk %5, %int3, %int0 : !torch.vtensor<[120,40],f32>, !torch.int, !torch.int -> !torch.list<vtensor>
    %8:3 = torch.prim.ListUnpack %7 : !torch.list<vtensor> -> !torch.vtensor<[40,40],f32>, !torch.vtensor<[40,40],f32>, !torch.vtensor<[40,40],f32>
    %9 = torch.aten.linear %0, %8#0, %none : !torch.vtensor<[63,2,40],f32>, !torch.vtensor<[40,40],f32>, !torch.none -> !torch.vtensor<[63,2,40],f32>
    %10 = torch.aten.linear %1, %8#1, %none : !torch.vtensor<[63,2,40],f32>, !torch.vtensor<[40,40],f32>, !torch.none -> !torch.vtensor<[63,2,40],f32>
    %11 = torch.aten.linear %2, %8#2, %none : !torch.vtensor<[63,2,40],f32>, !torch.vtensor<[40,40],f32>, !torch.none -> !torch.vtensor<[63,2,40],f32>
    %int63 = torch.constant.int 63
    %int8 = torch.constant.int 8
    %int10 = torch.constant.int 10
    %12 = torch.prim.ListConstruct %int63, %int8, %int10 : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %13 = torch.aten.view %9, %12 : !torch.vtensor<[63,2,40],f32>, !torch.list<int> -> !torch.vtensor<[63,8,10],f32>
    %14 = torch.aten.transpose.int %13, %int0, %int1 : !torch.vtensor<[63,8,10],f32>, !torch.int, !torch.int -> !torch.vtensor<[8,63,10],f32>
    %15 = torch.aten.view %10, %12 : !torch.vtensor<[63,2,40],f32>, !torch.list<int> -> !torch.vtensor<[63,8,10],f32>
    %16 = torch.aten.transpose.int %15, %int0, %int1 : !torch.vtensor<[63,8,10],f32>, !torch.int, !torch.int -> !torch.vtensor<[8,63,10],f32>
    %17 = torch.aten.view %11, %12 : !torch.vtensor<[63,2,40],f32>, !torch.list<int> -> !torch.vtensor<[63,8,10],f32>
    %18 = torch.aten.transpose.int %17, %int0, %int1 : !torch.vtensor<[63,8,10],f32>, !torch.int, !torch.int -> !torch.vtensor<[8,63,10],f32>
    %int2 = torch.constant.int 2
    %int4 = torch.constant.int 4
    %19 = torch.prim.ListConstruct %int2, %int4, %int63, %int10 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %20 = torch.aten.view %14, %19 : !torch.vtensor<[8,63,10],f32>, !torch.list<int> -> !torch.vtensor<[2,4,63,10],f32>
    %21 = torch.aten.view %16, %19 : !torch.vtensor<[8,63,10],f32>, !torch.list<int> -> !torch.vtensor<[2,4,63,10],f32>
    %22 = torch.aten.view %18, %19 : !torch.vtensor<[8,63,10],f32>, !torch.list<int> -> !torch.vtensor<[2,4,63,10],f32>
    %float0.000000e00 = torch.constant.float 0.000000e+00
    %23 = torch.aten.scaled_dot_product_attention %20, %21, %22, %none, %float0.000000e00, %false, %none, %false : !torch.vtensor<[2,4,63,10],f32>, !torch.vtensor<[2,4,63,10],f32>, !torch.vtensor<[2,4,63,10],f32>, !torch.none, !torch.float, !torch.bool, !torch.none, !torch.bool -> !torch.vtensor<[2,4,63,10],f32>
    %24 = torch.prim.ListConstruct %int2, %int0, %int1, %int3 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %25 = torch.aten.permute %23, %24 : !torch.vtensor<[2,4,63,10],f32>, !torch.list<int> -> !torch.vtensor<[63,2,4,10],f32>
    %int126 = torch.constant.int 126
    %26 = torch.prim.ListConstruct %int126, %int40 : (!torch.int, !torch.int) -> !torch.list<int>
    %27 = torch.aten.reshape %25, %26 : !torch.vtensor<[63,2,4,10],f32>, !torch.list<int> -> !torch.vtensor<[126,40],f32>
    %28 = torch.aten.linear %27, %6, %none : !torch.vtensor<[126,40],f32>, !torch.vtensor<[40,40],f32>, !torch.none -> !torch.vtensor<[126,40],f32>
    %29 = torch.prim.ListConstruct %int63, %int2, %int40 : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %30 = torch.aten.view %28, %29 : !torch.vtensor<[126,40],f32>, !torch.list<int> -> !torch.vtensor<[63,2,40],f32>
    return %30 : !torch.vtensor<[63,2,40],f32>
  }
}
